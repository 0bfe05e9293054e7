#include "fastserve/http2/session_memory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace fastserve::http2 {

TEST_CASE("blocks are aligned, apart from each other and keep their bytes") {
  struct Held {
    unsigned char* block;
    size_t size;
    unsigned char fill;
  };
  SessionMemory memory;
  std::mt19937 random(5);
  std::vector<Held> held;
  auto check = [](const Held& one) {
    bool same = true;
    for (size_t i = 0; i < one.size; ++i) same = same && one.block[i] == one.fill;
    REQUIRE(same);
  };
  for (int i = 0; i < 20'000; ++i) {
    const auto fill = static_cast<unsigned char>(i);
    if (held.size() < 50 || random() % 2 == 0) {
      const size_t size = random() % 1200;
      auto* block = static_cast<unsigned char*>(memory.allocate(size));
      REQUIRE(reinterpret_cast<uintptr_t>(block) % 16 == 0);
      std::memset(block, fill, size);
      held.push_back({block, size, fill});
      continue;
    }
    Held& one = held[random() % held.size()];
    check(one);
    if (random() % 2 == 0) {
      const size_t size = random() % 1200;
      one.block = static_cast<unsigned char*>(memory.reallocate(one.block, size));
      one.size = std::min(size, one.size);
      check(one);
      one.size = size;
      one.fill = fill;
      std::memset(one.block, fill, size);
    } else {
      memory.release(one.block);
      one = held.back();
      held.pop_back();
    }
  }
  for (const Held& one : held) {
    check(one);
    memory.release(one.block);
  }
}

TEST_CASE("a released block serves the next of its size class") {
  SessionMemory memory;
  void* first = memory.allocate(100);
  memory.release(first);
  CHECK(memory.allocate(128) == first);
  void* other = memory.allocate(128);
  CHECK(other != first);
  memory.release(first);
  memory.release(other);
  memory.release(nullptr);
}

}  // namespace fastserve::http2
