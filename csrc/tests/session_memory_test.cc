#include "fastserve/http2/session_memory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
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

TEST_CASE("a session's memory lies on three pages, and the frame's block begins on the last") {
  SessionMemory memory;
  auto* first = static_cast<unsigned char*>(memory.allocate(2880));
  auto* frame = static_cast<unsigned char*>(memory.allocate(16'394));
  std::memset(frame, 1, 16'394);
  std::vector<unsigned char*> small;
  for (int i = 0; i < 60; ++i) small.push_back(static_cast<unsigned char*>(memory.allocate(96)));
  const auto page_of = [](const void* at) { return reinterpret_cast<uintptr_t>(at) / 4096; };
  CHECK(page_of(frame) == page_of(first) + 2);
  for (unsigned char* block : small) {
    std::memset(block, 2, 96);
    CHECK(page_of(block) >= page_of(first));
    CHECK(page_of(block) <= page_of(frame));
  }
  CHECK(std::all_of(frame, frame + 16'394, [](unsigned char byte) { return byte == 1; }));
  // While it is in use, the next of its size is another.
  void* other = memory.allocate(16'394);
  CHECK(other != frame);
  memory.release(other);
  memory.release(frame);
  CHECK(memory.allocate(16'394) == frame);
  memory.release(frame);
  memory.release(first);
  for (unsigned char* block : small) memory.release(block);
}

TEST_CASE("more sessions than a slab has arenas, coming and going, share nothing") {
  std::vector<std::unique_ptr<SessionMemory>> sessions;
  std::vector<unsigned char*> blocks;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 200; ++i) {
      sessions.push_back(std::make_unique<SessionMemory>());
      blocks.push_back(static_cast<unsigned char*>(sessions.back()->allocate(5000)));
      std::memset(blocks.back(), static_cast<int>(blocks.size()), 5000);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto fill = static_cast<unsigned char>(i + 1);
      CHECK(std::all_of(blocks[i], blocks[i] + 5000, [=](auto byte) { return byte == fill; }));
    }
    for (size_t i = 0; i < blocks.size(); ++i) sessions[i]->release(blocks[i]);
    blocks.clear();
    sessions.clear();
  }
}

}  // namespace fastserve::http2
