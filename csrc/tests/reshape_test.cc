// Tensors that clients see in another shape than the graph.
#include "fastserve/engine/reshape.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/engine_fixture.h"
#include "tests/front_fixture.h"

using namespace fastserve;
using namespace fastserve::engine;
using namespace fastserve::testing;

namespace {

runtime::Signature signature(const Shape& shape) { return GatedSession(shape).signature(); }

Result<std::unique_ptr<const Reshapes>> make(const Shape& declared, bool has_rows_axis,
                                             const Shape& wire, const Shape& graph,
                                             bool is_input = true) {
  const TensorReshape reshape{is_input, is_input ? "x" : "y", wire, graph};
  return Reshapes::make(signature(declared), has_rows_axis, {&reshape, 1});
}

VersionConfig both_ways(const Shape& wire, const Shape& graph) {
  VersionConfig config = FrontFixture::echo_config();
  config.reshapes = {{true, "x", wire, graph}, {false, "y", wire, graph}};
  return config;
}

}  // namespace

TEST_CASE("reshape maps variable dimensions in their order, rows first") {
  struct Case {
    Shape declared;
    bool has_rows_axis;
    Shape wire;
    Shape graph;
    Shape asked;
    Shape run;
  };
  for (const Case& c : {
           Case{{kDynamic, 1, 1, 4}, true, {4}, {1, 1, 4}, {9, 4}, {9, 1, 1, 4}},
           Case{{kDynamic, 4}, true, {2, 2}, {4}, {0, 2, 2}, {0, 4}},
           Case{{kDynamic}, true, {1}, {}, {5, 1}, {5}},
           Case{{kDynamic, kDynamic, kDynamic}, true, {2, 4, -1, 6}, {8, -1, 1, 6}, {}, {}},
           Case{{kDynamic, 8, kDynamic, 1, 6},
                true,
                {2, 4, -1, 6},
                {8, -1, 1, 6},
                {3, 2, 4, 7, 6},
                {3, 8, 7, 1, 6}},
           Case{{kDynamic, kDynamic}, false, {-1, 1, -1}, {-1, -1}, {5, 1, 7}, {5, 7}},
           Case{{3, kDynamic}, true, {-1, 1}, {-1}, {3, 7, 1}, {3, 7}},
           Case{{}, false, {1, 1}, {}, {1, 1}, {}},
       }) {
    CAPTURE(c.wire.to_string());
    const auto made = make(c.declared, c.has_rows_axis, c.wire, c.graph);
    if (c.asked.rank() == 0) {  // the graph has other dimensions than the reshape
      CHECK_FALSE(made.ok());
      continue;
    }
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    Shape shape = c.asked;
    made.value()->to_graph(0, &shape);
    CHECK(shape == c.run);

    const auto output = make(c.declared, c.has_rows_axis, c.wire, c.graph, /*is_input=*/false);
    REQUIRE(output.ok());
    std::vector<runtime::RunOutput> outputs(1);
    outputs[0].present = true;
    outputs[0].shape = c.run;
    REQUIRE(output.value()->to_wire(outputs).ok());
    CHECK(outputs[0].shape == c.asked);
  }
}

TEST_CASE("reshape that cannot be mapped is refused with both shapes and the reason") {
  struct Case {
    Shape wire;
    Shape graph;
    const char* text;
  };
  for (const Case& c : {
           Case{{3},
                {4},
                "input 'x' cannot be reshaped from [3] to [4]: they have 3 and 4 elements"},
           Case{{-1}, {4}, "they have 1 and 0 variable dimensions"},
           Case{{2, -1}, {-1, 2}, "they have 2 and 1 elements before variable dimension 1"},
           Case{{-1, 2}, {-1, 3}, "they have 2 and 3 elements behind the last variable dimension"},
           Case{{0}, {0}, "dimensions are positive, or -1 where the request chooses"},
           Case{{-2}, {-2}, "dimensions are positive"},
           Case{{INT64_MAX, 2}, {INT64_MAX, 2}, "dimensions are positive"},
           Case{{8},
                {2, 4},
                "cannot be given to the graph as [-1,2,4], since the model declares it "
                "[-1,4], rows first"},
           Case{{5}, {5}, "since the model declares it [-1,4]"},
           Case{{-1}, {-1}, "since the model declares it [-1,4]"},
           Case{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4}, {4}, "more than 16 dimensions"},
       }) {
    CAPTURE(c.wire.to_string());
    const auto made = make({kDynamic, 4}, true, c.wire, c.graph);
    REQUIRE_FALSE(made.ok());
    CHECK(made.status().code() == Code::kInvalidArgument);
    CHECK(made.status().message().find(c.text) != std::string::npos);
  }
}

TEST_CASE("reshape of a tensor that is not there, or twice, is refused by name") {
  const std::vector<TensorReshape> unknown = {{true, "z", {4}, {4}}};
  auto made = Reshapes::make(signature({kDynamic, 4}), true, unknown);
  REQUIRE_FALSE(made.ok());
  CHECK(made.status().message() == "input 'z' is given a shape, but the model has no such tensor");
  const std::vector<TensorReshape> twice = {{false, "y", {4}, {4}}, {false, "y", {2, 2}, {4}}};
  made = Reshapes::make(signature({kDynamic, 4}), true, twice);
  REQUIRE_FALSE(made.ok());
  CHECK(made.status().message() == "output 'y' is given a shape twice");
}

TEST_CASE("an output of another shape than its reshape says is an error that names it") {
  const auto made = make({kDynamic, kDynamic}, true, {2, 2}, {4}, /*is_input=*/false);
  REQUIRE(made.ok());
  std::vector<runtime::RunOutput> outputs(1);
  outputs[0].present = true;
  outputs[0].shape = {3, 5};
  const Status status = made.value()->to_wire(outputs);
  CHECK(status.code() == Code::kInternal);
  CHECK(status.message().find("gave output 'y' the shape [3,5]") != std::string::npos);
}

TEST_CASE("a version shows clients its reshaped tensors and runs the graph with its own") {
  EngineFixture f({.executors = 1, .inline_budget = 0}, both_ways({2, 2}, {4}), {kDynamic, 4});
  CHECK(f.version->wire().inputs[0].shape == Shape{kDynamic, 2, 2});
  CHECK(f.version->wire().outputs[0].shape == Shape{kDynamic, 2, 2});
  CHECK(f.version->signature().inputs[0].shape == Shape{kDynamic, 4});
  VersionConfig bad = both_ways({3}, {4});
  CHECK_FALSE(f.engine->make_version(bad, f.session).ok());
}

TEST_CASE("a shape narrower than the graph's makes one lane, and warm-up rows that fit it") {
  EngineFixture f({.executors = 1, .inline_budget = 0}, both_ways({3}, {3}), {kDynamic, kDynamic});
  CHECK(f.version->has_one_lane());
  CHECK(f.version->wire().inputs[0].shape == Shape{kDynamic, 3});
  REQUIRE(f.engine->warm_up(*f.version, 2).ok());
  CHECK(f.session->last_shape() == Shape{2, 3});
}

TEST_CASE("reshaped requests share a batch and get their rows in the clients' shape") {
  FrontFixture f({.executors = 1, .inline_budget = 0}, {}, {kDynamic, 4});
  f.publish(both_ways({2, 2}, {4}));
  SocketClient client(f.connect());
  f.session->close_gate();
  auto ask = [&](int64_t rows, int64_t first) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < rows * 4; ++i) values.push_back(first + i);
    const std::string body =
        block(1, "echo") + block(5, input_of_shape({rows, 2, 2})) + block(7, raw_rows(values));
    const int32_t id = client.call(kInfer, frame_message(body));
    client.write();
    return std::pair(id, raw_rows(values));
  };
  const auto stuck = ask(1, 100);
  f.session->wait_for_runs(1);
  const auto first = ask(1, 200);
  const auto second = ask(2, 300);
  // Both wait, so that they run together.
  const auto models = f.engine.models();
  const VersionHandle& version = models->entry("echo")->ready.front();
  while (version->queued_rows != 3) std::this_thread::yield();
  f.session->open_gate();
  const std::string dims = wire::varint(2) + wire::varint(2);
  int64_t rows = 1;
  for (const auto& [id, values] : {stuck, first, second}) {
    REQUIRE(client.pump_until_closed(id));
    REQUIRE(client.answer(id).status() == "0");
    const std::string message = client.answer(id).messages().at(0);
    CHECK(message.find(values) != std::string::npos);
    if (id == second.first) rows = 2;
    CHECK(message.find(block(3, wire::varint(static_cast<uint64_t>(rows)) + dims)) !=
          std::string::npos);
  }
  CHECK(f.session->batch_rows() == std::vector<int64_t>{1, 3});
  CHECK(f.session->last_shape() == Shape{3, 4});
}

TEST_CASE("a reshaped version refuses the graph's own shape, naming the clients'") {
  FrontFixture f({.executors = 1, .inline_budget = 0}, {}, {kDynamic, 4});
  f.publish(both_ways({2, 2}, {4}));
  SocketClient client(f.connect());
  const auto& answer = client.unary(kInfer, block(1, "echo") + block(5, input_of_shape({1, 4})) +
                                                block(7, raw_rows({1, 2, 3, 4})));
  CHECK(answer.status() == "3");
  CHECK(answer.headers.at("grpc-message")
            .starts_with("unexpected shape for input 'x' for model 'echo'. Expected [-1,2,2], "
                         "got [1,4]"));
}
