#include "fastserve/engine/exemplars.h"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine_fixture.h"

using fastserve::kMillisecond;
using fastserve::kSecond;
using fastserve::Nanos;
using fastserve::engine::bucket_of;
using fastserve::engine::Exemplar;
using fastserve::engine::Exemplars;
using fastserve::testing::Asked;
using fastserve::testing::EngineFixture;

TEST_CASE("exemplars keep the latest request of each bucket") {
  Exemplars exemplars;
  CHECK(exemplars.read().empty());
  exemplars.put(3 * kMillisecond, 10, "first");
  exemplars.put(20 * kSecond, 20, "slow");
  exemplars.put(3 * kMillisecond + 1, 30, "later");
  const std::vector<Exemplar> found = exemplars.read();
  REQUIRE(found.size() == 2);
  CHECK(found[0].id == "later");
  CHECK(found[0].bucket == bucket_of(3 * kMillisecond));
  CHECK(found[0].total == 3 * kMillisecond + 1);
  CHECK(found[0].at == 30);
  CHECK(found[1].id == "slow");
  CHECK(found[1].bucket == fastserve::engine::kBucketCount - 1);
}

TEST_CASE("an exemplar's id is cut to its bound between two characters") {
  Exemplars exemplars;
  exemplars.put(1, 1, std::string(Exemplars::kMaxIdBytes + 50, 'a'));
  CHECK(exemplars.read().at(0).id == std::string(Exemplars::kMaxIdBytes, 'a'));
  const std::string head(Exemplars::kMaxIdBytes - 1, 'b');
  exemplars.put(1, 1, head + "\u00e9");
  CHECK(exemplars.read().at(0).id == head);
}

TEST_CASE("a shorter id leaves nothing of the longer one before it") {
  Exemplars exemplars;
  exemplars.put(1, 1, "a rather long request id");
  exemplars.put(1, 2, "short");
  CHECK(exemplars.read().at(0).id == "short");
}

TEST_CASE("a request without an id, or with one that is no text, is no exemplar") {
  Exemplars exemplars;
  exemplars.put(1, 1, "");
  exemplars.put(1, 1, std::string(Exemplars::kMaxIdBytes + 1, '\x80'));
  CHECK(exemplars.read().empty());
}

TEST_CASE("a batch gives the slowest of its answered requests as the exemplar") {
  EngineFixture f;
  f.keep_executor_busy();
  Asked* slowest = f.ask({1});
  slowest->id = "slowest";
  slowest->arrival -= kSecond;
  Asked* unnamed = f.ask({2});
  unnamed->arrival -= 2 * kSecond;
  Asked* fast = f.ask({3});
  fast->id = "fast";
  for (Asked* asked : {fast, slowest, unnamed}) REQUIRE(f.submit(asked).ok());
  f.port->flush();
  f.session->open_gate();
  f.answers.wait_for(4);
  const std::vector<Exemplar> found = f.version->exemplars().read();
  REQUIRE(found.size() == 1);
  CHECK(found[0].id == "slowest");
  CHECK(found[0].bucket == bucket_of(found[0].total));
  CHECK(found[0].total >= kSecond);
}

TEST_SUITE("storm") {
  TEST_CASE("an exemplar that is read while many threads write is one that somebody wrote") {
    constexpr int kWriters = 3;
    constexpr int kWrites = 20'000;
    Exemplars exemplars;
    std::atomic<int> writing{kWriters};
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; i < kWrites; ++i) {
          // Its length, its letters and both numbers say the same.
          const int size = 1 + (i * 7 + writer) % 100;
          exemplars.put(size, size, std::string(static_cast<size_t>(size), 'a' + size % 26));
        }
        --writing;
      });
    }
    while (writing > 0) {
      for (const Exemplar& one : exemplars.read()) {
        const auto size = static_cast<Nanos>(one.id.size());
        REQUIRE(one.total == size);
        REQUIRE(one.at == size);
        REQUIRE(one.id == std::string(one.id.size(), 'a' + size % 26));
      }
    }
    for (std::thread& writer : writers) writer.join();
    REQUIRE(exemplars.read().size() == 1);
  }
}
