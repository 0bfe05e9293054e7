// Runs outside of the queue: golden answers and recorded requests.
#include "fastserve/engine/direct_run.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "tests/engine_fixture.h"
#include "tests/test_model.h"

using namespace fastserve;
using namespace fastserve::engine;
using namespace fastserve::testing;

namespace {

runtime::RunInput input(const Shape& shape, const std::vector<int64_t>& values) {
  return {std::as_bytes(std::span(values)), shape};
}

// A version of a model in tests/data.
struct RealFixture {
  explicit RealFixture(const std::string& name) {
    VersionConfig config;
    config.model = name;
    version = engine.make_version(config, runtime::testing::load(name).value()).value();
  }
  Engine engine{EngineOptions{.executors = 1}};
  VersionHandle version;
};

}  // namespace

TEST_CASE("run_directly gives every output and teaches the cost curve") {
  EngineFixture f;
  const std::vector<int64_t> values = {5, 6, 7};
  CHECK_FALSE(f.version->cost().is_known());
  const std::vector<runtime::RunInput> inputs = {input({3, 1}, values)};
  const auto answer = run_directly(*f.version, inputs);
  REQUIRE(answer.ok());
  REQUIRE(answer.value().size() == 1);
  const OwnedTensor& output = answer.value()[0];
  CHECK(output.present);
  CHECK(output.dtype == DType::kInt64);
  CHECK(output.shape == Shape{3, 1});
  CHECK(as_text(output.data.bytes()) == as_text(std::as_bytes(std::span(values))));
  CHECK(f.version->cost().is_known());
  CHECK(f.version->stats_snapshot().requests == 0);
}

TEST_CASE("run_directly runs while the queue is stuck") {
  EngineFixture f;
  f.keep_executor_busy();
  const auto other = std::make_shared<GatedSession>();
  const VersionHandle version =
      f.engine->make_version(EngineFixture::batching_config(), other).value();
  const std::vector<int64_t> values = {5};
  const std::vector<runtime::RunInput> inputs = {input({1, 1}, values)};
  CHECK(run_directly(*version, inputs).ok());
}

TEST_CASE("run_directly takes and gives the shapes that clients use") {
  VersionConfig config = EngineFixture::batching_config();
  config.reshapes = {{true, "x", {2, 2}, {4}}, {false, "y", {4, 1}, {4}}};
  EngineFixture f({.executors = 1, .inline_budget = 0}, config, {kDynamic, 4});
  const std::vector<int64_t> values = {1, 2, 3, 4};
  const std::vector<runtime::RunInput> inputs = {input({1, 2, 2}, values)};
  const auto answer = run_directly(*f.version, inputs);
  REQUIRE(answer.ok());
  CHECK(f.session->last_shape() == Shape{1, 4});
  CHECK(answer.value()[0].shape == Shape{1, 4, 1});
}

TEST_CASE("run_directly copies data that is not aligned") {
  EngineFixture f;
  alignas(16) std::array<std::byte, 17> memory{};
  memory[1] = std::byte{9};
  const std::vector<runtime::RunInput> inputs = {{ByteSpan(memory).subspan(1, 16), Shape{2, 1}}};
  const auto answer = run_directly(*f.version, inputs);
  REQUIRE(answer.ok());
  int64_t first = 0;
  std::memcpy(&first, answer.value()[0].data.data(), sizeof first);
  CHECK(first == 9);
}

TEST_CASE("run_directly refuses inputs that do not fit, naming them") {
  EngineFixture f;
  const std::vector<int64_t> values = {1, 2, 3, 4};
  struct Case {
    std::vector<runtime::RunInput> inputs;
    const char* text;
  };
  for (const Case& c : {
           Case{{}, "expected 1 inputs but got 0 inputs for model 'echo'"},
           Case{{input({4, 1}, values), input({4, 1}, values)}, "expected 1 inputs but got 2"},
           Case{{input({4}, values)},
                "unexpected shape for input 'x' for model 'echo'. Expected [-1,1], got [4]"},
           Case{{input({2, 2}, values)}, "Expected [-1,1], got [2,2]"},
           Case{{input({-1, 1}, values)}, "Expected [-1,1], got [-1,1]"},
           Case{{input({3, 1}, values)},
                "input byte size mismatch for input 'x' for model 'echo'. Expected 24, got 32"},
           Case{{input({INT64_MAX, 1}, values)}, "has too many elements"},
       }) {
    const auto answer = run_directly(*f.version, c.inputs);
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.status().code() == Code::kInvalidArgument);
    CHECK(answer.status().message().find(c.text) != std::string::npos);
  }
  CHECK(f.session->batch_rows().empty());
}

TEST_CASE("run_directly passes a failed run on") {
  EngineFixture f;
  f.session->fail_runs(true);
  const std::vector<int64_t> values = {1};
  const std::vector<runtime::RunInput> inputs = {input({1, 1}, values)};
  CHECK(run_directly(*f.version, inputs).status().code() == Code::kInternal);
  CHECK_FALSE(f.version->cost().is_known());
}

TEST_CASE("run_directly checks the length words of BYTES") {
  RealFixture f("identity_bytes");
  const Shape& declared = f.version->signature().inputs[0].shape;
  Shape shape = declared;
  for (size_t axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == kDynamic) shape[axis] = 1;
  }
  int64_t elements = 0;
  REQUIRE(shape.element_count(&elements));
  std::string data;
  for (int64_t i = 0; i < elements; ++i) data += std::string("\x02\0\0\0ab", 6);
  std::vector<runtime::RunInput> inputs = {{as_bytes(data), shape}};
  const auto answer = run_directly(*f.version, inputs);
  REQUIRE(answer.ok());
  CHECK(as_text(answer.value()[0].data.bytes()) == data);
  inputs[0].data = inputs[0].data.first(data.size() - 1);
  const auto refused = run_directly(*f.version, inputs);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message().find("BYTES element") != std::string::npos);
}

TEST_CASE("run_directly says which outputs a graph left out") {
  RealFixture f("optional_output");
  const std::array<float, 2> rows = {1, 2};
  for (const uint8_t give : {1, 0}) {
    const std::vector<runtime::RunInput> inputs = {{std::as_bytes(std::span(&give, 1)), Shape{}},
                                                   {std::as_bytes(std::span(rows)), Shape{2}}};
    const auto answer = run_directly(*f.version, inputs);
    REQUIRE(answer.ok());
    CHECK(answer.value()[0].present == (give == 1));
  }
}
