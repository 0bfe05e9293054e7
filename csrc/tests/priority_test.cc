// Priority levels: who of a version's waiting requests goes first.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine_fixture.h"

using namespace fastserve;
using namespace fastserve::engine;
using namespace fastserve::testing;

namespace {

VersionConfig with_levels(uint32_t levels, uint32_t max_rows, uint32_t default_priority = 2) {
  VersionConfig config = EngineFixture::batching_config();
  config.max_rows = max_rows;
  config.priority_levels = levels;
  config.default_priority = default_priority;
  return config;
}

struct LevelFixture : EngineFixture {
  using EngineFixture::EngineFixture;

  // Submits one row of `priority` in a sweep of its own.
  Asked* enqueue(uint32_t priority, Nanos deadline = kNever) {
    Asked* asked = ask({static_cast<int64_t>(requests.size())}, deadline);
    asked->asked_priority = priority;
    REQUIRE(submit(asked).ok());
    port->flush();
    return asked;
  }
  // The same with one row of so many columns.
  Asked* enqueue_wide(uint32_t priority, int64_t columns) {
    Asked* asked = ask_wide(priority, columns);
    REQUIRE(submit(asked).ok());
    port->flush();
    return asked;
  }
  Asked* ask_wide(uint32_t priority, int64_t columns) {
    Asked* asked = ask(std::vector<int64_t>(static_cast<size_t>(columns), columns));
    asked->asked_priority = priority;
    asked->rows = 1;
    asked->inputs[0].shape = {1, columns};
    return asked;
  }
};

constexpr EngineOptions kOneExecutor{.executors = 1, .inline_budget = 0};
constexpr EngineOptions kInline{.executors = 1, .inline_budget = kSecond};

bool is_in_order(const std::vector<Asked*>& asked) {
  return std::ranges::is_sorted(asked, {}, [](const Asked* one) { return one->place; });
}

}  // namespace

TEST_CASE("priority runs the waiting requests level by level, each in order of arrival") {
  LevelFixture f(kOneExecutor, with_levels(3, 1));
  f.keep_executor_busy();
  Asked* low = f.enqueue(3);
  Asked* middle = f.enqueue(2);
  Asked* high = f.enqueue(1);
  Asked* later_low = f.enqueue(3);
  Asked* later_high = f.enqueue(1);
  f.session->open_gate();
  f.answers.wait_for(6);
  CHECK(is_in_order({high, later_high, middle, low, later_low}));
  for (Asked* asked : {low, middle, high}) CHECK(asked->answer == asked->values);
}

TEST_CASE("priority of 0, or beyond the levels, is the default level") {
  LevelFixture f(kOneExecutor, with_levels(3, 1, 2));
  f.keep_executor_busy();
  Asked* low = f.enqueue(3);
  Asked* none = f.enqueue(0);
  Asked* middle = f.enqueue(2);
  Asked* beyond = f.enqueue(4);
  Asked* far_beyond = f.enqueue(UINT32_MAX);
  Asked* high = f.enqueue(1);
  f.session->open_gate();
  f.answers.wait_for(7);
  CHECK(is_in_order({high, none, middle, beyond, far_beyond, low}));
}

TEST_CASE("priority has no meaning for a version without levels") {
  LevelFixture f(kOneExecutor, with_levels(0, 1, 0));
  f.keep_executor_busy();
  Asked* first = f.enqueue(5);
  Asked* second = f.enqueue(1);
  f.session->open_gate();
  f.answers.wait_for(3);
  CHECK(is_in_order({first, second}));
}

TEST_CASE("priority fills a batch up with less urgent requests behind all more urgent ones") {
  LevelFixture f(kOneExecutor, with_levels(2, 3));
  f.keep_executor_busy();
  Asked* low = f.enqueue(2);
  Asked* later_low = f.enqueue(2);
  Asked* high = f.enqueue(1);
  Asked* later_high = f.enqueue(1);
  f.session->open_gate();
  f.answers.wait_for(5);
  CHECK(f.session->batch_rows() == std::vector<int64_t>{1, 3, 1});
  CHECK(is_in_order({high, later_high, low, later_low}));
  for (Asked* asked : {low, later_low, high}) CHECK(asked->answer == asked->values);
}

TEST_CASE("priority holds between lanes of one version too") {
  LevelFixture f(kOneExecutor, with_levels(3, 1), {kDynamic, kDynamic});
  f.keep_executor_busy();
  std::vector<std::vector<Asked*>> by_level(3);
  for (const uint32_t priority : {3u, 2u, 1u, 3u, 1u, 2u, 1u}) {
    for (const int64_t columns : {2, 3, 4}) {
      by_level[priority - 1].push_back(f.enqueue_wide(priority, columns));
    }
  }
  f.session->open_gate();
  f.answers.wait_for(22);
  size_t earlier = 0;
  for (const auto& level : by_level) {
    const auto place = [](const Asked* asked) { return asked->place; };
    CHECK(place(*std::ranges::min_element(level, {}, place)) > earlier);
    earlier = place(*std::ranges::max_element(level, {}, place));
  }
}

TEST_CASE("priority holds between lanes when the most urgent one has expired") {
  LevelFixture f(kOneExecutor, with_levels(3, 1), {kDynamic, kDynamic});
  f.keep_executor_busy();
  Asked* low = f.enqueue_wide(3, 2);
  Asked* middle = f.enqueue_wide(2, 3);
  Asked* late = f.ask_wide(1, 2);
  late->deadline = monotonic_now() + 100 * kMillisecond;
  REQUIRE(f.submit(late).ok());
  f.port->flush();
  while (monotonic_now() < late->deadline) std::this_thread::yield();
  f.session->open_gate();
  f.answers.wait_for(4);
  CHECK(late->status.code() == Code::kDeadlineExceeded);
  CHECK(is_in_order({middle, low}));
}

TEST_CASE("priority orders what a sweep runs on its own thread") {
  LevelFixture f(kInline, with_levels(3, 1));
  REQUIRE(f.engine->warm_up(*f.version, 1).ok());
  std::vector<Asked*> asked;
  for (const uint32_t priority : {3u, 1u, 2u, 1u}) {
    asked.push_back(f.ask({1}));
    asked.back()->asked_priority = priority;
    REQUIRE(f.submit(asked.back()).ok());
  }
  f.port->flush();
  REQUIRE(f.answers.count() == 4);
  CHECK(is_in_order({asked[1], asked[3], asked[2], asked[0]}));
}

TEST_CASE("priority orders what a sweep runs on its own thread, also between lanes") {
  LevelFixture f(kInline, with_levels(3, 8), {kDynamic, kDynamic});
  REQUIRE(f.engine->warm_up(*f.version, 1).ok());
  const std::vector<Asked*> asked = {f.ask_wide(3, 2), f.ask_wide(1, 2), f.ask_wide(3, 3),
                                     f.ask_wide(2, 3), f.ask_wide(1, 3), f.ask_wide(1, 2)};
  for (Asked* one : asked) REQUIRE(f.submit(one).ok());
  f.port->flush();
  REQUIRE(f.answers.count() == 6);
  CHECK(is_in_order({asked[1], asked[5], asked[4], asked[3], asked[0], asked[2]}));
}

TEST_CASE("cancel takes a waiting request of each level back") {
  LevelFixture f(kOneExecutor, with_levels(3, 1));
  f.keep_executor_busy();
  std::vector<Asked*> cancelled;
  std::vector<Asked*> kept;
  for (const uint32_t priority : {1u, 2u, 3u}) {
    cancelled.push_back(f.enqueue(priority));
    kept.push_back(f.enqueue(priority));
    cancelled.push_back(f.enqueue(priority));
  }
  for (Asked* asked : cancelled) CHECK(f.port->cancel(asked, Failure::kCancelled));
  f.session->open_gate();
  f.answers.wait_for(4);
  CHECK(is_in_order(kept));
  for (const Asked* asked : cancelled) CHECK(asked->answers == 0);
  CHECK(f.version->stats_snapshot().queue_requests == 0);
  for (const LevelLoad& load : f.version->queued_by_level) {
    CHECK(load.requests == 0);
    CHECK(load.rows == 0);
  }
}

TEST_CASE("a deadline is weighed against what goes before the request, not behind it") {
  LevelFixture f(kOneExecutor, with_levels(2, 1));
  f.keep_executor_busy();
  f.version->observe_cost(1, 20 * kMillisecond, monotonic_now());
  for (int i = 0; i < 10; ++i) f.enqueue(2);
  const Nanos deadline = monotonic_now() + 100 * kMillisecond;
  Asked* low = f.ask({1}, deadline);
  low->asked_priority = 2;
  CHECK(f.submit(low).code() == Code::kResourceExhausted);
  f.enqueue(1, deadline);
}

TEST_CASE("levels of one version leave another version its share") {
  LevelFixture f(kOneExecutor, with_levels(3, 1));
  VersionConfig plain = EngineFixture::batching_config();
  plain.model = "other";
  plain.max_rows = 1;
  const VersionHandle other = f.engine->make_version(plain, f.session).value();
  f.keep_executor_busy();
  constexpr size_t kEach = 2000;
  std::vector<Asked*> others;
  for (size_t i = 0; i < kEach; ++i) {
    f.enqueue(1 + i % 3);
    others.push_back(f.ask({1}));
    others.back()->version = other;
    REQUIRE(f.submit(others.back()).ok());
    f.port->flush();
  }
  f.session->open_gate();
  f.answers.wait_for(2 * kEach + 1);
  // Half of its requests are answered in about half of the time.
  const size_t half = others[kEach / 2]->place;
  CHECK(half > kEach / 2);
  CHECK(half < kEach + kEach / 2);
}

TEST_CASE("a version with levels that make no sense is refused by name") {
  LevelFixture f;
  struct Case {
    uint32_t levels;
    uint32_t default_priority;
    const char* text;
  };
  for (const Case& c : {
           Case{3, 0, "default_priority is 0, expected one of the levels 1 to 3"},
           Case{3, 4, "default_priority is 4, expected one of the levels 1 to 3"},
           Case{1001, 1, "priority_levels is 1001, expected at most 1000"},
       }) {
    const auto made =
        f.engine->make_version(with_levels(c.levels, 1, c.default_priority), f.session);
    REQUIRE_FALSE(made.ok());
    CHECK(made.status().code() == Code::kInvalidArgument);
    CHECK(made.status().message() == c.text);
  }
}

TEST_SUITE("storm") {
  TEST_CASE("requests of all levels, with waits that end, are each answered once") {
    constexpr int kThreads = 4;
    constexpr int kSweeps = 300;
    VersionConfig config = with_levels(4, 8);
    config.queue_policies = {
        {},
        {.timeout = 100 * kMicrosecond, .is_delay = true},
        {.timeout = 100 * kMicrosecond, .allow_timeout_override = true},
        {.max_requests = 4},
    };
    auto session = std::make_shared<GatedSession>(Shape{kDynamic, kDynamic});
    Engine engine({.executors = 2, .inline_budget = 20 * kMicrosecond});
    const VersionHandle version = engine.make_version(config, session).value();
    REQUIRE(engine.warm_up(*version, 1).ok());
    std::atomic<uint64_t> submitted{0};
    std::atomic<uint64_t> answered{0};
    std::atomic<uint64_t> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t) + 7);
        Answers answers;
        std::deque<Asked> requests;
        size_t expected = 0;
        {
          auto port = engine.open_port(&answers, t % 2 == 0, nullptr);
          for (int sweep = 0; sweep < kSweeps; ++sweep) {
            Asked* victim = nullptr;
            for (unsigned i = 0, count = 1 + random() % 8; i < count; ++i) {
              Asked& asked = requests.emplace_back();
              asked.rows = 1 + random() % 3;
              const int64_t columns = 1 + random() % 2;
              asked.values.assign(asked.rows * static_cast<size_t>(columns),
                                  t * 1'000'000 + sweep * 100 + int64_t{i});
              asked.version = version;
              asked.bytes = asked.values.size() * 8;
              asked.inputs.resize(1);
              asked.inputs[0].shape = {asked.rows, columns};
              asked.inputs[0].data = std::as_bytes(std::span(asked.values));
              asked.completion = &answers;
              asked.asked_priority = random() % 6;
              asked.asked_timeout = random() % 3 == 0 ? 30 * kMicrosecond : 0;
              asked.arrival = monotonic_now();
              Nanos retry_after = 0;
              submitted.fetch_add(1);
              if (!port->submit(&asked, asked.arrival, &retry_after).ok()) continue;
              ++expected;
              victim = &asked;
            }
            if (random() % 2 == 0) port->flush();
            std::unique_lock open(answers.mutex());
            const bool is_open = victim != nullptr && victim->answers == 0;
            open.unlock();
            if (is_open && port->cancel(victim, Failure::kCancelled)) --expected;
            port->flush();
          }
          answers.wait_for(expected);
        }
        for (const Asked& asked : requests) {
          if (asked.answers > 1) wrong.fetch_add(1);
          if (asked.answers != 1 || asked.is_abandoned) continue;
          const Code code = asked.status.code();
          if (code == Code::kOk ? asked.answer != asked.values
                                : code != Code::kUnavailable && code != Code::kDeadlineExceeded) {
            wrong.fetch_add(1);
          }
        }
        answered.fetch_add(expected);
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(answered > 0);
    const StatsSnapshot stats = version->stats_snapshot();
    uint64_t failures = 0;
    for (const uint64_t count : stats.failures) failures += count;
    CHECK(stats.requests + failures == submitted);
    CHECK(stats.queue_rows == 0);
    for (const LevelLoad& load : version->queued_by_level) {
      CHECK(load.requests == 0);
      CHECK(load.rows == 0);
    }
  }
}
