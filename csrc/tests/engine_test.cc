#include "fastserve/engine/engine.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine_fixture.h"

using namespace fastserve;
using namespace fastserve::engine;
using namespace fastserve::testing;

TEST_CASE("engine answers one request on an executor") {
  EngineFixture f;
  Asked* asked = f.ask({41});
  REQUIRE(f.submit(asked).ok());
  f.port->flush();
  f.answers.wait_for(1);
  CHECK(asked->status.ok());
  CHECK(asked->answer == asked->values);
}

TEST_CASE("engine answers a short request inside flush when it may run inline") {
  EngineFixture f({.executors = 1, .inline_budget = kSecond});
  REQUIRE(f.engine->warm_up(*f.version, 1).ok());
  Asked* asked = f.ask({7});
  REQUIRE(f.submit(asked).ok());
  f.port->flush();
  CHECK(f.answers.count() == 1);
  CHECK(asked->answer == asked->values);
}

TEST_CASE("engine joins waiting requests in one batch and gives each its own rows") {
  EngineFixture f;
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({0})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  std::vector<Asked*> waiting = {f.ask({10, 11}), f.ask({20}), f.ask({30, 31, 32})};
  for (Asked* asked : waiting) REQUIRE(f.submit(asked).ok());
  f.port->flush();
  f.session->open_gate();
  f.answers.wait_for(4);
  CHECK(f.session->batch_rows() == std::vector<int64_t>{1, 6});
  for (Asked* asked : waiting) CHECK(asked->answer == asked->values);
}

TEST_CASE("engine never exceeds max_rows in a batch of several requests") {
  EngineFixture f;
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({0})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  for (int i = 0; i < 20; ++i) REQUIRE(f.submit(f.ask({i})).ok());
  f.port->flush();
  f.session->open_gate();
  f.answers.wait_for(21);
  for (const int64_t rows : f.session->batch_rows()) CHECK(rows <= 8);
}

TEST_CASE("engine runs a request larger than max_rows alone") {
  EngineFixture f;
  std::vector<int64_t> many(20);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<int64_t>(i);
  Asked* asked = f.ask(many);
  REQUIRE(f.submit(asked).ok());
  f.port->flush();
  f.answers.wait_for(1);
  CHECK(asked->answer == many);
}

TEST_CASE("cancel takes a pending request back before its sweep ends") {
  EngineFixture f;
  Asked* asked = f.ask({1});
  REQUIRE(f.submit(asked).ok());
  CHECK(f.port->cancel(asked, Failure::kCancelled));
  f.port->flush();
  CHECK(asked->answers == 0);
  CHECK(f.version->stats_snapshot().failures[static_cast<size_t>(Failure::kCancelled)] == 1);
}

TEST_CASE("cancel takes a queued request back and no answer comes") {
  EngineFixture f;
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({0})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  Asked* asked = f.ask({1});
  REQUIRE(f.submit(asked).ok());
  f.port->flush();
  CHECK(f.port->cancel(asked, Failure::kCancelled));
  f.session->open_gate();
  f.answers.wait_for(1);
  CHECK(asked->answers == 0);
}

TEST_CASE("cancel of every member stops a run in progress") {
  EngineFixture f;
  f.session->close_gate();
  Asked* a = f.ask({1});
  Asked* b = f.ask({2});
  REQUIRE(f.submit(a).ok());
  REQUIRE(f.submit(b).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  CHECK_FALSE(f.port->cancel(a, Failure::kCancelled));
  CHECK_FALSE(f.port->cancel(b, Failure::kExpired));
  f.answers.wait_for(2);  // the gate is still closed: only terminate() lets the run end
  CHECK(a->status.code() == Code::kCancelled);
  const StatsSnapshot stats = f.version->stats_snapshot();
  CHECK(stats.failures[static_cast<size_t>(Failure::kCancelled)] == 1);
  CHECK(stats.failures[static_cast<size_t>(Failure::kExpired)] == 1);
  CHECK(stats.requests == 0);
}

TEST_CASE("cancel of one member leaves the others their answers") {
  EngineFixture f;
  f.session->close_gate();
  Asked* a = f.ask({1});
  Asked* b = f.ask({2});
  REQUIRE(f.submit(a).ok());
  REQUIRE(f.submit(b).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  CHECK_FALSE(f.port->cancel(a, Failure::kCancelled));
  f.session->open_gate();
  f.answers.wait_for(2);
  CHECK(b->answer == b->values);
  CHECK(a->answer.empty());
}

TEST_CASE("submit refuses a request whose deadline has passed") {
  EngineFixture f;
  Asked* asked = f.ask({1}, monotonic_now() - 1);
  CHECK(f.submit(asked).code() == Code::kDeadlineExceeded);
}

TEST_CASE("a request that expires in the queue is answered and never run") {
  EngineFixture f;
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({0})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  const Nanos deadline = monotonic_now() + 2 * kMillisecond;
  Asked* late = f.ask({1}, deadline);
  REQUIRE(f.submit(late).ok());
  f.port->flush();
  while (monotonic_now() < deadline) std::this_thread::yield();
  f.session->open_gate();
  f.answers.wait_for(2);
  CHECK(late->status.code() == Code::kDeadlineExceeded);
  CHECK(f.session->batch_rows() == std::vector<int64_t>{1});
}

TEST_CASE("submit refuses rows over the queue's bound and takes them again when it empties") {
  VersionConfig config = EngineFixture::batching_config();
  config.max_queue_rows = 3;
  EngineFixture f({.executors = 1, .inline_budget = 0}, config);
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({0})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  REQUIRE(f.submit(f.ask({1, 2, 3})).ok());
  f.port->flush();
  const Status status = f.submit(f.ask({4}));
  CHECK(status.code() == Code::kResourceExhausted);
  CHECK(status.message().find("Exceeds maximum queue size") != std::string::npos);
  f.session->open_gate();
  f.answers.wait_for(2);
  CHECK(f.submit(f.ask({5})).ok());
  f.port->flush();
  f.answers.wait_for(3);
}

TEST_CASE("submit refuses one request of more rows than the queue may hold") {
  VersionConfig config = EngineFixture::batching_config();
  config.max_queue_rows = 3;
  EngineFixture f({.executors = 1, .inline_budget = 0}, config);
  CHECK(f.submit(f.ask({1, 2, 3, 4})).code() == Code::kInvalidArgument);
  CHECK(f.submit(f.ask({1, 2, 3})).ok());
  f.port->flush();
  f.answers.wait_for(1);
}

TEST_CASE("a failed run fails every member and the next batch runs") {
  EngineFixture f;
  f.session->fail_runs(true);
  Asked* a = f.ask({1});
  Asked* b = f.ask({2});
  REQUIRE(f.submit(a).ok());
  REQUIRE(f.submit(b).ok());
  f.port->flush();
  f.answers.wait_for(2);
  CHECK(a->status.code() == Code::kInternal);
  CHECK(b->status.code() == Code::kInternal);
  f.session->fail_runs(false);
  Asked* c = f.ask({3});
  REQUIRE(f.submit(c).ok());
  f.port->flush();
  f.answers.wait_for(3);
  CHECK(c->answer == c->values);
}

TEST_CASE("a request that makes its batch fail fails alone") {
  EngineFixture f;
  f.session->fail_above(1);
  Asked* a = f.ask({1});
  Asked* bad = f.ask({2, 3});
  Asked* b = f.ask({4});
  for (Asked* asked : {a, bad, b}) REQUIRE(f.submit(asked).ok());
  f.port->flush();
  f.answers.wait_for(3);
  CHECK(a->answer == a->values);
  CHECK(bad->status.code() == Code::kInternal);
  CHECK(b->answer == b->values);
}

TEST_CASE("an engine that stops answers what is queued with unavailable") {
  EngineFixture f;
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({0})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  Asked* queued = f.ask({1});
  REQUIRE(f.submit(queued).ok());
  f.port->flush();
  f.port.reset();
  std::thread stopper([&] { f.engine.reset(); });
  f.session->open_gate();
  stopper.join();
  // The executor may have taken it before it saw the stop; either way there is exactly one answer.
  CHECK(queued->answers == 1);
  CHECK((queued->status.ok() || queued->status.code() == Code::kUnavailable));
  f.engine = std::make_unique<Engine>(EngineOptions{.executors = 1});
  f.version = VersionHandle();
}

TEST_CASE("a version that was replaced is freed after its last request") {
  EngineFixture f;
  std::weak_ptr<GatedSession> watched = f.session;
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({1})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  f.version = VersionHandle();
  f.engine->publish(std::make_shared<ModelSet>());
  f.port->models();
  CHECK_FALSE(watched.expired());
  f.session->open_gate();
  f.answers.wait_for(1);
  f.requests.clear();
  f.session = std::make_shared<GatedSession>();  // the fixture's own reference
  const Nanos limit = monotonic_now() + 5 * kSecond;
  while (!watched.expired() && monotonic_now() < limit) std::this_thread::yield();
  CHECK(watched.expired());
}

TEST_CASE("counters say what was asked, run and answered") {
  EngineFixture f;
  f.session->close_gate();
  REQUIRE(f.submit(f.ask({0})).ok());
  f.port->flush();
  f.session->wait_for_runs(1);
  REQUIRE(f.submit(f.ask({1, 2})).ok());
  REQUIRE(f.submit(f.ask({3})).ok());
  f.port->flush();
  CHECK(f.version->stats_snapshot().queue_rows == 3);
  f.session->open_gate();
  f.answers.wait_for(3);
  StatsSnapshot stats = f.version->stats_snapshot();
  const Nanos limit = monotonic_now() + 5 * kSecond;
  while (stats.executions < 2 && monotonic_now() < limit) stats = f.version->stats_snapshot();
  CHECK(stats.requests == 3);
  CHECK(stats.rows == 4);
  CHECK(stats.executions == 2);
  CHECK(stats.queue_rows == 0);
  CHECK(stats.batches.at(3).executions == 1);
  uint64_t observed = 0;
  for (const uint64_t bucket : stats.buckets[static_cast<size_t>(Phase::kTotal)]) {
    observed += bucket;
  }
  CHECK(observed == 3);
}

TEST_CASE("a batch is counted before the first of its answers is given") {
  struct Reader final : Completion {
    void complete(Request& request, const Status&, std::span<const TensorView>,
                  const Timing&) override {
      const StatsSnapshot stats = request.version->stats_snapshot();
      seen.push_back({stats.requests, stats.rows, stats.executions});
    }
    void flush_completions(size_t) override {}
    std::vector<std::array<uint64_t, 3>> seen;
  };
  EngineFixture f({.executors = 1, .inline_budget = kSecond});
  REQUIRE(f.engine->warm_up(*f.version, 1).ok());
  Reader reader;
  for (const int64_t value : {1, 2}) {
    Asked* asked = f.ask({value});
    asked->completion = &reader;
    REQUIRE(f.submit(asked).ok());
  }
  f.port->flush();
  REQUIRE(reader.seen.size() == 2);
  CHECK(reader.seen[0] == std::array<uint64_t, 3>{2, 2, 1});
}

TEST_SUITE("storm") {
  TEST_CASE("every request of many threads is answered once with its own rows") {
    constexpr int kThreads = 4;
    constexpr int kSweeps = 400;
    auto session = std::make_shared<GatedSession>();
    Engine engine({.executors = 2, .inline_budget = 50 * kMicrosecond});
    const VersionHandle version =
        engine.make_version(EngineFixture::batching_config(), session).value();
    auto models = std::make_shared<ModelSet>();
    ModelEntry entry;
    entry.name = "echo";
    entry.ready.push_back(version);
    entry.serving = 1;
    models->put(std::move(entry));
    engine.publish(models);
    REQUIRE(engine.warm_up(*version, 1).ok());
    std::atomic<uint64_t> accepted{0};
    std::atomic<uint64_t> taken_back{0};
    std::atomic<uint64_t> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t));
        Answers answers;
        std::deque<Asked> requests;
        size_t expected = 0;
        {
          auto port = engine.open_port(&answers, t % 2 == 0, nullptr);
          for (int sweep = 0; sweep < kSweeps; ++sweep) {
            std::vector<Asked*> asked_now;
            const unsigned count = 1 + random() % 8;
            for (unsigned i = 0; i < count; ++i) {
              Asked& asked = requests.emplace_back();
              asked.values.assign(1 + random() % 3, t * 1'000'000 + sweep * 100 + int64_t{i});
              asked.version = version;
              asked.rows = static_cast<uint32_t>(asked.values.size());
              asked.bytes = asked.values.size() * 8;
              asked.inputs.resize(1);
              asked.inputs[0].shape = {static_cast<int64_t>(asked.values.size()), 1};
              asked.inputs[0].data = std::as_bytes(std::span(asked.values));
              asked.completion = &answers;
              asked.arrival = monotonic_now();
              asked.deadline = random() % 4 == 0 ? asked.arrival + 200 * kMicrosecond : kNever;
              Nanos retry_after = 0;
              if (port->submit(&asked, asked.arrival, &retry_after).ok()) {
                ++expected;
                asked_now.push_back(&asked);
              }
            }
            if (random() % 3 == 0 && !asked_now.empty()) {
              if (random() % 2 == 0) port->flush();
              // cancel() is for open requests.
              Asked* victim = asked_now[random() % asked_now.size()];
              std::unique_lock open(answers.mutex());
              const bool is_open = victim->answers == 0;
              open.unlock();
              if (is_open && port->cancel(victim, Failure::kCancelled)) {
                --expected;
                taken_back.fetch_add(1);
              }
            }
            port->flush();
          }
          answers.wait_for(expected);
        }
        accepted.fetch_add(expected);
        for (const Asked& asked : requests) {
          if (asked.answers > 1) wrong.fetch_add(1);
          if (asked.answers == 1 && asked.status.ok() && asked.answer != asked.values &&
              !asked.is_abandoned) {
            wrong.fetch_add(1);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong.load() == 0);
    StatsSnapshot stats = version->stats_snapshot();
    uint64_t failures = 0;
    for (const uint64_t count : stats.failures) failures += count;
    CHECK(stats.requests + failures >= accepted.load() + taken_back.load());
    CHECK(stats.queue_rows == 0);
  }
}
