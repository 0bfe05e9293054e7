#include "fastserve/engine/shadow.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fastserve/engine/version_watch.h"
#include "tests/engine_fixture.h"

namespace fastserve {
namespace {

using engine::Shadow;
using engine::ShadowCounts;
using engine::ShadowOptions;
using engine::ShadowReport;
using engine::VersionHandle;
using engine::VersionWatch;
using testing::Asked;
using testing::EngineFixture;
using testing::GatedSession;

constexpr Nanos kLong = 60 * kSecond;

bool is_balanced(const ShadowCounts& counts) {
  return counts.offered == counts.compared + counts.dropped + counts.failed + counts.waiting;
}

// An echo model, and another beside it that shadows it; the observer comes round when a test says
// so.
struct Shadowed {
  explicit Shadowed(ShadowOptions options = {}, const Shape& shape = {kDynamic, 1},
                    Nanos pause = 3600 * kSecond)
      : engine(
            testing::EngineOptions{
                .executors = 1, .inline_budget = 0, .observer = {.pause = pause}},
            EngineFixture::batching_config(), shape),
        session(std::make_shared<GatedSession>(shape)) {
    watch = VersionWatch::make("echo", 1, engine.session->signature(), true, {}).value();
    engine.version->watch(watch, nullptr);
    auto config = EngineFixture::batching_config();
    config.number = 2;
    candidate = engine.engine->make_version(config, session).value();
    shadow = Shadow::make(*engine.engine, candidate, options).value();
    watch->set_shadow(shadow, shadow->map(*engine.version).value());
  }
  ~Shadowed() { shadow->close(); }

  Asked* run(std::vector<int64_t> values, std::string_view id = {}) {
    Asked* asked = engine.ask(std::move(values));
    asked->id = id;
    REQUIRE(engine.submit(asked).ok());
    engine.port->flush();
    engine.answers.wait_for(engine.requests.size());
    engine.engine->observer().sweep();
    return asked;
  }
  ShadowReport settled() {
    REQUIRE(shadow->wait(kLong));
    return shadow->report();
  }

  EngineFixture engine;
  std::shared_ptr<VersionWatch> watch;
  std::shared_ptr<GatedSession> session;  // the candidate's
  VersionHandle candidate;
  std::shared_ptr<Shadow> shadow;
};

TEST_SUITE_BEGIN("shadow");

TEST_CASE("a candidate that answers the same has no differing row") {
  Shadowed shadowed;
  shadowed.run({1, 2});
  shadowed.settled();  // an offer while the shadow thread holds the lock is dropped
  shadowed.run({3}, "a");
  const ShadowReport report = shadowed.settled();
  CHECK(report.counts.offered == 3);
  CHECK(report.counts.compared == 3);
  CHECK(report.counts.differing == 0);
  REQUIRE(report.outputs.size() == 1);
  CHECK(report.names[0] == "y");
  CHECK(report.outputs[0].rows == 3);
  CHECK(report.outputs[0].max_absolute == 0);
  CHECK(report.outputs[0].worst.empty());
  REQUIRE(report.differences.has_value());
  CHECK(report.differences->rows() == 3);
  CHECK(is_balanced(report.counts));
}

TEST_CASE("rows that differ are counted, and the worst are kept with their request") {
  Shadowed shadowed;
  shadowed.session->shift_answers(5);
  const Asked* asked = shadowed.run({10, 20}, "a");
  CHECK(asked->answer == std::vector<int64_t>{10, 20});
  const ShadowReport report = shadowed.settled();
  CHECK(report.counts.differing == 2);
  CHECK(report.outputs[0].max_absolute == 5);
  CHECK(report.outputs[0].max_relative == doctest::Approx(0.5));
  REQUIRE(report.outputs[0].worst.size() == 2);
  CHECK(report.outputs[0].worst[0].id == "a");
  CHECK(report.outputs[0].worst[0].row == 0);
  CHECK(report.outputs[0].worst[1].row == 1);
  CHECK(report.outputs[0].worst[1].live == std::vector<std::string>{"20"});
  CHECK(report.outputs[0].worst[1].candidate == std::vector<std::string>{"25"});
}

TEST_CASE("a candidate that fails is counted with its first message, and the live answer stands") {
  Shadowed shadowed;
  shadowed.session->fail_runs(true);
  const Asked* asked = shadowed.run({1, 2});
  CHECK(asked->status.ok());
  CHECK(asked->answer == std::vector<int64_t>{1, 2});
  const ShadowReport report = shadowed.settled();
  CHECK(report.counts.failed == 2);
  CHECK(report.counts.compared == 0);
  CHECK(report.first_error == "the model failed");
  CHECK(is_balanced(report.counts));
}

TEST_CASE("a candidate that hangs drops what has no room, and ends when the shadow is closed") {
  Shadowed shadowed({.max_bytes = 2048});
  shadowed.session->close_gate();
  shadowed.run({1});
  shadowed.session->wait_for_runs(1);
  for (int64_t i = 0; i < 64; ++i) {
    const Asked* asked = shadowed.run({i});
    CHECK(asked->answer == std::vector<int64_t>{i});
  }
  ShadowReport report = shadowed.shadow->report();
  CHECK(report.counts.offered == 65);
  CHECK(report.counts.dropped > 0);
  CHECK(report.counts.waiting > 0);
  CHECK(report.counts.waiting_bytes <= 2048);
  CHECK(is_balanced(report.counts));
  const int64_t before = shadowed.candidate->references();
  shadowed.shadow->close();
  CHECK(shadowed.candidate->references() == before - 1);
  report = shadowed.shadow->report();
  CHECK(report.counts.waiting == 0);
  CHECK(report.counts.waiting_bytes == 0);
  CHECK(report.counts.dropped == 65);
  shadowed.run({1});
  CHECK(shadowed.shadow->report().counts.offered == 65);
}

TEST_CASE("a run that takes too long is ended and counted as failed") {
  Shadowed shadowed({.max_run = 0});
  shadowed.session->close_gate();
  shadowed.run({1});
  shadowed.session->wait_for_runs(1);
  shadowed.session->open_gate();
  CHECK(shadowed.settled().counts.compared == 1);
  shadowed.session->close_gate();
  shadowed.run({2});
  shadowed.session->wait_for_runs(1);
  // The next offer finds the run; it may itself be dropped meanwhile.
  while (shadowed.shadow->report().counts.failed == 0) shadowed.run({3});
  CHECK(shadowed.shadow->report().first_error.find("took longer than 0 ms") != std::string::npos);
  CHECK(is_balanced(shadowed.shadow->report().counts));
}

TEST_CASE("the same seed and ids choose the same requests, and about the share") {
  std::vector<uint64_t> offered;
  for (const uint64_t seed : {7u, 7u, 8u}) {
    Shadowed shadowed({.share = 0.25, .seed = seed});
    for (int64_t i = 0; i < 400; ++i) shadowed.run({i, i}, "request-" + std::to_string(i));
    const ShadowReport report = shadowed.settled();
    CHECK(report.counts.offered % 2 == 0);  // all rows of a request, or none
    offered.push_back(report.counts.offered);
  }
  CHECK(offered[0] == offered[1]);
  CHECK(offered[0] != offered[2]);
  // 800 rows, a quarter; four standard deviations of 400 choices are 70 rows.
  CHECK(offered[0] > 130);
  CHECK(offered[0] < 270);
}

TEST_CASE("rows taken out of a batch are compared with their own answers") {
  Shadowed shadowed({.share = 0.5, .seed = 3});
  shadowed.engine.keep_executor_busy();
  for (int64_t i = 0; i < 8; ++i) {
    Asked* asked = shadowed.engine.ask({100 + i});
    asked->id = std::string_view("abcdefgh").substr(static_cast<size_t>(i), 1);
    REQUIRE(shadowed.engine.submit(asked).ok());
  }
  shadowed.engine.port->flush();
  shadowed.engine.session->open_gate();
  shadowed.engine.answers.wait_for(9);
  shadowed.engine.engine->observer().sweep();
  const ShadowReport report = shadowed.settled();
  CHECK(report.counts.compared > 0);
  CHECK(report.counts.compared < 8);
  CHECK(report.counts.differing == 0);
}

TEST_CASE("of rows too large to be told each time, samples are compared") {
  Shadowed shadowed({}, {kDynamic, 8192});
  std::vector<int64_t> row(8192, 7);
  Asked* asked = shadowed.engine.ask(row);
  asked->rows = 1;
  asked->inputs[0].shape = {1, 8192};
  REQUIRE(shadowed.engine.submit(asked).ok());
  shadowed.engine.port->flush();
  shadowed.engine.answers.wait_for(1);
  shadowed.engine.engine->observer().sweep();
  const ShadowReport report = shadowed.settled();
  CHECK(report.counts.compared == 1);
  CHECK(report.counts.differing == 0);
}

TEST_CASE("a candidate with another signature is refused with what differs") {
  const Shadowed shadowed({}, {kDynamic, 2});
  auto refusal = [&](const Shape& shape) {
    const auto other =
        shadowed.engine.engine
            ->make_version(EngineFixture::batching_config(), std::make_shared<GatedSession>(shape))
            .value();
    const auto shadow = Shadow::make(*shadowed.engine.engine, other, {}).value();
    const auto mapping = shadow->map(*shadowed.engine.version);
    shadow->close();
    return mapping.ok() ? std::string() : mapping.status().message();
  };
  CHECK(refusal({kDynamic, 2}).empty());
  CHECK(refusal({kDynamic, kDynamic}).empty());
  CHECK(refusal({kDynamic, 3}) ==
        "the candidate's signature is not the live version's: input 'x' INT64[-1,3], expected 'x' "
        "INT64[-1,2]");
  CHECK(refusal({4, 2}).find("'x' INT64[4,2]") != std::string::npos);
  CHECK(refusal({kDynamic, 2, 1}).find("INT64[-1,2,1]") != std::string::npos);
}

TEST_CASE("options out of range are refused with what is expected") {
  const Shadowed shadowed;
  auto refusal = [&](const ShadowOptions& options) {
    return Shadow::make(*shadowed.engine.engine, shadowed.candidate, options).status().message();
  };
  CHECK(refusal({.share = 1.5}).find("expected 0 to 1") != std::string::npos);
  CHECK(refusal({.share = NAN}).find("expected 0 to 1") != std::string::npos);
  CHECK(refusal({.max_bytes = 0}).find("max_bytes") != std::string::npos);
  CHECK(refusal({.tolerance = {.absolute = -1}}).find("tolerance") != std::string::npos);
}

TEST_CASE("a reset counts anew and keeps what waits") {
  Shadowed shadowed;
  shadowed.run({1});
  shadowed.settled();
  shadowed.session->close_gate();
  shadowed.run({2});
  shadowed.shadow->reset();
  ShadowReport report = shadowed.shadow->report();
  CHECK(report.counts.offered == 1);
  CHECK(report.counts.waiting == 1);
  CHECK(report.counts.compared == 0);
  shadowed.session->open_gate();
  report = shadowed.settled();
  CHECK(report.counts.compared == 1);
  CHECK(is_balanced(report.counts));
}

TEST_CASE("an engine that ends with a shadow at work ends its run") {
  auto shadowed = std::make_unique<Shadowed>();
  shadowed->session->close_gate();
  shadowed->run({1});
  shadowed->session->wait_for_runs(1);
  shadowed->watch->set_shadow(nullptr, {});
  shadowed->engine.port.reset();
  shadowed->engine.engine.reset();
  CHECK(shadowed->shadow->report().counts.compared == 0);
}

TEST_SUITE_END();

TEST_SUITE_BEGIN("storm");

TEST_CASE("shadows set, closed, reset and read under load change no answer and lose no row") {
  Shadowed shadowed({.max_bytes = 1 << 16}, {kDynamic, 1}, kMillisecond);
  std::atomic<bool> is_done{false};
  std::thread reader([&] {
    while (!is_done) {
      CHECK(is_balanced(shadowed.shadow->report().counts));
      std::this_thread::yield();
    }
  });
  std::thread changer([&] {
    for (uint64_t seed = 0; !is_done; ++seed) {
      auto other = Shadow::make(*shadowed.engine.engine, shadowed.candidate,
                                {.share = 0.5, .max_bytes = 4096, .seed = seed})
                       .value();
      shadowed.watch->set_shadow(other, other->map(*shadowed.engine.version).value());
      shadowed.session->shift_answers(static_cast<int64_t>(seed % 2));
      shadowed.session->fail_runs(seed % 5 == 0);
      if (seed % 3 == 0) other->reset();
      other->close();
      CHECK(is_balanced(other->report().counts));
      CHECK(other->report().counts.waiting == 0);
      shadowed.watch->set_shadow(shadowed.shadow,
                                 shadowed.shadow->map(*shadowed.engine.version).value());
    }
  });
  for (int64_t i = 0; i < 2000; ++i) {
    const Asked* asked = shadowed.run({i, i + 1}, i % 2 == 0 ? "even" : "");
    REQUIRE(asked->answer == std::vector<int64_t>{i, i + 1});
  }
  is_done = true;
  reader.join();
  changer.join();
  CHECK(is_balanced(shadowed.settled().counts));
}

TEST_SUITE_END();

}  // namespace
}  // namespace fastserve
