// Queue policies: how long and how many requests may wait.
#include "fastserve/engine/queue_policy.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/engine_fixture.h"

using namespace fastserve;
using namespace fastserve::engine;
using namespace fastserve::testing;

namespace {

// Far beyond what any of these tests takes.
constexpr Nanos kLong = 100 * kSecond;

VersionConfig with_policies(std::vector<QueuePolicy> policies, uint32_t levels = 0) {
  VersionConfig config = EngineFixture::batching_config();
  config.max_rows = 1;
  config.priority_levels = levels;
  config.default_priority = levels;
  config.queue_policies = std::move(policies);
  return config;
}

struct PolicyFixture : EngineFixture {
  explicit PolicyFixture(const VersionConfig& config,
                         EngineOptions options = {.executors = 1, .inline_budget = 0})
      : EngineFixture(options, config) {}

  Asked* make(uint32_t priority = 0, Nanos timeout = 0) {
    Asked* asked = ask({static_cast<int64_t>(requests.size())});
    asked->asked_priority = priority;
    asked->asked_timeout = timeout;
    return asked;
  }
  Asked* enqueue(uint32_t priority = 0, Nanos timeout = 0) {
    Asked* asked = make(priority, timeout);
    REQUIRE(submit(asked).ok());
    port->flush();
    return asked;
  }
  uint64_t failures(Failure why) {
    return version->stats_snapshot().failures[static_cast<size_t>(why)];
  }
};

void pass(Nanos until) {
  while (monotonic_now() <= until) std::this_thread::yield();
}

}  // namespace

TEST_CASE("queue_policy refuses what waited too long while every executor is busy") {
  PolicyFixture f(with_policies({{.timeout = 2 * kMillisecond}}));
  f.keep_executor_busy();
  Asked* first = f.enqueue();
  Asked* second = f.enqueue();
  f.answers.wait_for(2);  // the gate is closed: no executor can have answered
  for (const Asked* asked : {first, second}) {
    CHECK(asked->status.code() == Code::kUnavailable);
    CHECK(asked->status.message().starts_with("Request timeout expired"));
  }
  CHECK(monotonic_now() >= second->wait_until);
  CHECK(f.failures(Failure::kExpired) == 2);
  CHECK(f.version->stats_snapshot().queue_requests == 0);
  f.session->open_gate();
  f.answers.wait_for(3);
  CHECK(f.session->batch_rows() == std::vector<int64_t>{1});
}

TEST_CASE("queue_policy answers the shorter wait first, whichever came first") {
  PolicyFixture f(with_policies({{.timeout = kLong, .allow_timeout_override = true}}));
  f.keep_executor_busy();
  Asked* patient = f.enqueue();
  Asked* hasty = f.enqueue(0, 2 * kMillisecond);
  f.answers.wait_for(1);
  CHECK(hasty->status.code() == Code::kUnavailable);
  CHECK(patient->answers == 0);
  f.session->open_gate();
  f.answers.wait_for(3);
  CHECK(patient->status.ok());
}

TEST_CASE("queue_policy never stops what runs") {
  PolicyFixture f(with_policies({{.timeout = 200 * kMillisecond}}));
  f.session->close_gate();
  Asked* asked = f.enqueue();
  f.session->wait_for_runs(1);
  pass(asked->wait_until);
  f.session->open_gate();
  f.answers.wait_for(1);
  CHECK(asked->answer == asked->values);
}

TEST_CASE("queue_policy of each level is its own, and the default one elsewhere") {
  PolicyFixture f(with_policies({{.timeout = kLong}, {.timeout = kMillisecond}}, 2));
  f.keep_executor_busy();
  Asked* low = f.enqueue(2);
  Asked* high = f.enqueue(1);
  f.answers.wait_for(1);
  CHECK(high->status.code() == Code::kUnavailable);
  CHECK(low->answers == 0);
}

TEST_CASE("a client's timeout counts only where the policy lets it, and only if shorter") {
  struct Case {
    QueuePolicy policy;
    Nanos asked;
    Nanos wait;
  };
  for (const Case& c : {
           Case{{.timeout = kLong}, kSecond, kLong},
           Case{{.timeout = kLong, .allow_timeout_override = true}, kSecond, kSecond},
           Case{{.timeout = kSecond, .allow_timeout_override = true}, kLong, kSecond},
           Case{{.timeout = kSecond, .allow_timeout_override = true}, 0, kSecond},
       }) {
    PolicyFixture f(with_policies({c.policy}));
    f.keep_executor_busy();
    const Nanos before = monotonic_now();
    const Asked* asked = f.enqueue(0, c.asked);
    CHECK(asked->wait_until >= before + c.wait);
    CHECK(asked->wait_until <= monotonic_now() + c.wait);
    CHECK(asked->deadline == kNever);
  }
}

TEST_CASE("a client's timeout brings the deadline nearer where no policy has a timeout") {
  for (const auto& policies :
       {std::vector<QueuePolicy>{}, std::vector<QueuePolicy>{{.max_requests = 9}}}) {
    PolicyFixture f(with_policies(policies));
    f.keep_executor_busy();
    const Asked* asked = f.enqueue(0, kSecond);
    CHECK(asked->deadline == asked->arrival + kSecond);
    CHECK(asked->wait_until == kNever);
    Asked* sooner = f.make(0, kSecond);
    sooner->deadline = sooner->arrival + kMillisecond;
    const Nanos deadline = sooner->deadline;
    REQUIRE(f.submit(sooner).ok());
    CHECK(sooner->deadline == deadline);
  }
}

TEST_CASE("queue_policy delays what waited too long behind everything else of its version") {
  // The two that are delayed ask for a short wait themselves: `high`, of the same level, then
  // cannot come to wait too long as well, whatever else the machine does.
  const QueuePolicy policy{.timeout = kLong, .is_delay = true, .allow_timeout_override = true};
  PolicyFixture f(with_policies({{}, policy}, 3));
  f.keep_executor_busy();
  Asked* delayed = f.enqueue(1, kMillisecond);
  Asked* also_delayed = f.enqueue(1, kMillisecond);
  Asked* low = f.enqueue(3);
  pass(also_delayed->wait_until);
  Asked* high = f.enqueue(1);
  Asked* lowest = f.enqueue(3);
  f.session->open_gate();
  f.answers.wait_for(6);
  for (Asked* asked : {delayed, also_delayed, low, high}) CHECK(asked->answer == asked->values);
  CHECK(high->place < low->place);
  CHECK(low->place < lowest->place);
  CHECK(lowest->place < delayed->place);
  CHECK(delayed->place < also_delayed->place);
  CHECK(f.failures(Failure::kExpired) == 0);
}

TEST_CASE("a delayed request runs at once when nothing else waits, and still has its deadline") {
  PolicyFixture f(with_policies({{.timeout = kMillisecond, .is_delay = true}}));
  f.keep_executor_busy();
  Asked* delayed = f.enqueue();
  Asked* late = f.make();
  late->deadline = late->arrival + 100 * kMillisecond;
  REQUIRE(f.submit(late).ok());
  f.port->flush();
  pass(late->deadline);
  f.session->open_gate();
  f.answers.wait_for(3);
  CHECK(delayed->answer == delayed->values);
  CHECK(late->status.code() == Code::kDeadlineExceeded);
}

TEST_CASE("cancel takes a delayed request back") {
  PolicyFixture f(with_policies({{.timeout = kMillisecond, .is_delay = true}}));
  f.keep_executor_busy();
  Asked* delayed = f.enqueue();
  pass(monotonic_now() + 2 * kMillisecond);
  CHECK(f.port->cancel(delayed, Failure::kCancelled));
  Asked* other = f.enqueue();
  f.session->open_gate();
  f.answers.wait_for(2);
  CHECK(other->status.ok());
  CHECK(delayed->answers == 0);
}

TEST_CASE("queue_policy bounds the waiting requests of each level") {
  PolicyFixture f(with_policies({{}, {.max_requests = 2}, {.max_requests = 1}}, 3));
  f.keep_executor_busy();
  f.version->observe_cost(1, kMillisecond, monotonic_now());
  f.enqueue(1);
  f.enqueue(2);
  CHECK(f.submit(f.make(1)).ok());  // not flushed: what a sweep gathers counts too
  for (const uint32_t priority : {1u, 2u}) {
    Nanos retry_after = 0;
    const Status status = f.port->submit(f.make(priority), monotonic_now(), &retry_after);
    CHECK(status.code() == Code::kResourceExhausted);
    CHECK(status.message().starts_with("Exceeds maximum queue size"));
    CHECK(status.message().find("of priority " + std::to_string(priority)) != std::string::npos);
    CHECK(retry_after > 0);
  }
  CHECK(f.failures(Failure::kQueueFull) == 2);
  for (int i = 0; i < 10; ++i) f.enqueue(3);
  f.session->open_gate();
  f.answers.wait_for(14);
  f.enqueue(2);
}

TEST_CASE("a cancelled request makes room in its level") {
  PolicyFixture f(with_policies({{.max_requests = 1}}));
  f.keep_executor_busy();
  Asked* pending = f.make();
  REQUIRE(f.submit(pending).ok());
  CHECK(f.submit(f.make()).code() == Code::kResourceExhausted);
  CHECK(f.port->cancel(pending, Failure::kCancelled));
  Asked* queued = f.enqueue();
  CHECK(f.submit(f.make()).code() == Code::kResourceExhausted);
  CHECK(f.port->cancel(queued, Failure::kCancelled));
  CHECK(f.submit(f.make()).ok());
}

TEST_CASE("queue_policy holds for what a sweep runs on its own thread") {
  PolicyFixture f(
      with_policies({{}, {.timeout = kMillisecond}, {.timeout = 1, .is_delay = true}}, 3),
      {.executors = 1, .inline_budget = kSecond});
  REQUIRE(f.engine->warm_up(*f.version, 1).ok());
  Asked* late = f.make(1);
  Asked* delayed = f.make(2);
  Asked* low = f.make(3);
  for (Asked* asked : {late, delayed, low}) REQUIRE(f.submit(asked).ok());
  pass(late->wait_until);
  f.port->flush();
  REQUIRE(f.answers.count() == 3);
  CHECK(late->status.code() == Code::kUnavailable);
  CHECK(f.failures(Failure::kExpired) == 1);
  CHECK(low->answer == low->values);
  CHECK(delayed->answer == delayed->values);
  CHECK(low->place < delayed->place);
}

TEST_CASE("an engine that stops answers what waits with a bound on its time") {
  PolicyFixture f(with_policies({{.timeout = kLong}}));
  f.keep_executor_busy();
  Asked* waiting = f.enqueue();
  f.port.reset();
  std::thread stopper([&] { f.engine.reset(); });
  f.session->open_gate();
  stopper.join();
  CHECK(waiting->answers == 1);
  f.engine = std::make_unique<Engine>(EngineOptions{.executors = 1});
  f.version = VersionHandle();
}

TEST_CASE("a version with queue policies that make no sense is refused by name") {
  PolicyFixture f(with_policies({}));
  struct Case {
    std::vector<QueuePolicy> policies;
    uint32_t levels;
    const char* text;
  };
  for (const Case& c : {
           Case{{{}, {}}, 0, "there are queue policies for 1 levels, but priority_levels is 0"},
           Case{{{}, {}, {}, {}},
                2,
                "there are queue policies for 3 levels, but priority_levels is 2"},
           Case{{{.timeout = -kMillisecond}},
                0,
                "the timeout of a queue policy is -1000 us, expected 0 (none) or more"},
       }) {
    const auto made = f.engine->make_version(with_policies(c.policies, c.levels), f.session);
    REQUIRE_FALSE(made.ok());
    CHECK(made.status().message() == c.text);
  }
}
