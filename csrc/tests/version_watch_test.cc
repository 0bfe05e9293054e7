#include "fastserve/engine/version_watch.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine_fixture.h"

namespace fastserve {
namespace {

using engine::CapturedRequest;
using engine::CaptureQueue;
using engine::Contract;
using engine::ContractRule;
using engine::JoinedBatch;
using engine::JoinOutcome;
using engine::PredictionStore;
using engine::VersionWatch;
using engine::WatchOptions;
using testing::Asked;
using testing::EngineFixture;

std::shared_ptr<const sketch::TableSchema> schema() {
  return std::make_shared<const sketch::TableSchema>(
      sketch::TableSchema::make(
          {{.name = "x", .is_input = true, .dtype = DType::kInt64, .elements = 1},
           {.name = "y", .is_input = false, .dtype = DType::kInt64, .elements = 1}})
          .value());
}

// An echo model of one INT64 column; the observer comes round when a test says so.
struct Watched {
  explicit Watched(WatchOptions options)
      : engine(testing::EngineOptions{
            .executors = 1, .inline_budget = 0, .observer = {.pause = 3600 * kSecond}}) {
    watch = VersionWatch::make("echo", 1, engine.session->signature(), true, std::move(options))
                .value();
    engine.version->watch(watch, nullptr);
  }

  Asked* run(std::vector<int64_t> values, std::string_view id = {}) {
    Asked* asked = engine.ask(std::move(values));
    asked->id = id;
    REQUIRE(engine.submit(asked).ok());
    engine.port->flush();
    engine.answers.wait_for(engine.requests.size());
    engine.engine->observer().sweep();
    return asked;
  }

  EngineFixture engine;
  std::shared_ptr<VersionWatch> watch;
};

TEST_CASE("a window holds the rows since the window before, inputs and outputs") {
  Watched watched({.schema = schema()});
  CHECK_FALSE(watched.watch->take_window().has_value());
  watched.run({1, 2});
  watched.run({2});
  const auto window = watched.watch->take_window();
  REQUIRE(window.has_value());
  CHECK(window->rows() == 3);
  for (size_t feature = 0; feature < 2; ++feature) {
    const auto summary = window->summary(feature).value();
    CHECK(summary.count == 3);
    REQUIRE(summary.top.size() == 2);
    CHECK(summary.top[0].value == "2");
    CHECK(summary.top[0].count == 2);
  }
  CHECK_FALSE(watched.watch->take_window().has_value());
  CHECK(watched.watch->stats().rows_sketched == 3);
  CHECK(watched.watch->stats().rows_skipped == 0);
}

TEST_CASE("an answer with an id can be joined by it, with the segment's rows") {
  auto store = std::make_shared<PredictionStore>(engine::PredictionStoreOptions{});
  Watched watched({.schema = schema(), .predictions = store, .segment = 0});
  watched.run({7, 8}, "a");
  watched.run({9});
  JoinedBatch joined;
  store->join("echo", {"a", "b"}, false, monotonic_now(), &joined);
  REQUIRE(joined.entries().size() == 2);
  CHECK(joined.entries()[0].outcome == JoinOutcome::kJoined);
  CHECK(joined.entries()[0].version == 1);
  CHECK(joined.entries()[0].has_segment);
  CHECK(joined.entries()[1].outcome == JoinOutcome::kUnknown);
  std::vector<TensorView> tensors;
  joined.read(0, &tensors);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].name == "x");
  CHECK(tensors[1].name == "y");
  CHECK(tensors[1].shape == Shape{2, 1});
  const int64_t expected[] = {7, 8};
  CHECK(as_text(tensors[1].data) == as_text(std::as_bytes(std::span(expected))));
  CHECK(store->stats().kept == 1);
}

TEST_CASE("captured requests are offered with their own rows") {
  auto queue = std::make_shared<CaptureQueue>(1 << 20);
  Watched watched({.captures = queue, .capture_share = 1});
  watched.run({1});
  watched.run({2, 3}, "a");
  const std::vector<CapturedRequest> taken = queue->take(1 << 20);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].id.empty());
  CHECK(taken[1].id == "a");
  CHECK(taken[1].model == "echo");
  CHECK(taken[1].version == 1);
  CHECK(taken[1].rows == 2);
  CHECK(taken[1].total_ns >= taken[1].compute_ns);
  REQUIRE(taken[1].inputs.size() == 1);
  REQUIRE(taken[1].outputs.size() == 1);
  CHECK(taken[1].inputs[0].shape == Shape{2, 1});
  const auto stats = queue->stats();
  CHECK(stats.offered == 2);
  CHECK(stats.dropped == 0);
}

TEST_CASE("a contract that is not enforced counts what was served") {
  ContractRule rule{.feature = 0, .kind = ContractRule::Kind::kCategory, .categories = {"1"}};
  auto contract = Contract::make(*schema(), {rule}, false).value();
  Watched watched({.schema = schema(), .contract = contract});
  const Asked* asked = watched.run({1, 2, 3});
  CHECK(asked->status.ok());
  CHECK(watched.watch->stats().violations == std::vector<uint64_t>{2});
}

TEST_CASE("a schema of other tensors is refused with the one that differs") {
  const EngineFixture fixture;
  auto refusal = [&](std::vector<sketch::TensorColumns> tensors, WatchOptions options = {}) {
    options.schema = std::make_shared<const sketch::TableSchema>(
        sketch::TableSchema::make(std::move(tensors)).value());
    return VersionWatch::make("echo", 1, fixture.session->signature(), true, options)
        .status()
        .message();
  };
  const sketch::TensorColumns x{.name = "x", .is_input = true, .dtype = DType::kInt64};
  CHECK(refusal({x}).find("1 tensors, expected the model's 2") != std::string::npos);
  CHECK(refusal({x, {.name = "y", .dtype = DType::kFp32}}) ==
        "tensor 'y' FP32 of the schema, expected 'y' INT64");
  CHECK(refusal({x, {.name = "z", .dtype = DType::kInt64}}).find("'z'") != std::string::npos);
  CHECK(VersionWatch::make("echo", 1, fixture.session->signature(), true, {.segment = 1})
            .status()
            .message()
            .find("segment 1") != std::string::npos);
}

}  // namespace
}  // namespace fastserve
