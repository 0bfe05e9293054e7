// A server of the whole data plane over a model that echoes its rows, so that an answer shows whose
// it is: sockets, transport, front, engine.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fastserve/engine/engine.h"
#include "fastserve/front/bridge.h"
#include "fastserve/front/thread_front.h"
#include "fastserve/net/server.h"
#include "tests/gated_session.h"
#include "tests/socket_client.h"
#include "tests/wire_bytes.h"

namespace fastserve::testing {

using net::testing::frame_message;
using net::testing::SocketClient;
using wire::block;

inline constexpr const char* kInfer = "/inference.GRPCInferenceService/ModelInfer";
inline constexpr const char* kStream = "/inference.GRPCInferenceService/ModelStreamInfer";

inline std::string raw_rows(const std::vector<int64_t>& rows) {
  return {reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(int64_t)};
}

// The input of the echo model, without its data.
inline std::string input_of_shape(const std::vector<int64_t>& shape) {
  std::string dims;
  for (const int64_t dim : shape) dims += wire::varint(static_cast<uint64_t>(dim));
  return block(1, "x") + block(2, "INT64") + block(3, dims);
}

// A ModelInferRequest for the echo model.
inline std::string request(const std::vector<int64_t>& rows, const std::string& id = "") {
  return block(1, "echo") + (id.empty() ? "" : block(3, id)) +
         block(5, input_of_shape({static_cast<int64_t>(rows.size()), 1})) +
         block(7, raw_rows(rows));
}

// To be added to a request: a parameter of a type, by the number of its field in InferParameter.
inline std::string parameter(const char* name, uint32_t type, uint64_t value) {
  return block(4, block(1, name) + block(2, wire::number(type, value)));
}
inline constexpr uint32_t kInt64Parameter = 2;
inline constexpr uint32_t kUint64Parameter = 5;

inline net::ServerOptions two_threads() {
  net::ServerOptions options;
  options.io_threads = 2;
  return options;
}

struct FrontFixture {
  explicit FrontFixture(engine::EngineOptions options = {.executors = 2, .inline_budget = 0},
                        front::FrontOptions front = {}, const Shape& shape = {kDynamic, 1})
      : session(std::make_shared<GatedSession>(shape)),
        engine(options),
        server(two_threads(), front::thread_front_factory(&engine, &bridge, front)) {
    publish();
    int os_error = 0;
    const auto bound = server.listen_tcp("127.0.0.1", 0, nullptr, &os_error);
    REQUIRE(bound.ok());
    port = bound.value().port;
    REQUIRE(server.start().ok());
  }
  ~FrontFixture() {
    session->open_gate();
    server.close();
  }
  static engine::VersionConfig echo_config() {
    engine::VersionConfig config;
    config.model = "echo";
    config.is_batching = true;
    config.has_rows_axis = true;
    config.max_rows = 16;
    return config;
  }
  // A new version object of the same model in place of the old one.
  void publish(const engine::VersionConfig& config = echo_config()) {
    engine::ModelEntry entry;
    entry.serving = 1;
    entry.ready.push_back(engine.make_version(config, session).value());
    publish(std::move(entry));
  }
  // Version 1 is not ready; what asks for it waits if it is loaded on demand.
  void publish_unloaded(bool is_on_demand) {
    engine::ModelEntry entry;
    entry.serving = 1;
    entry.unavailable.push_back({1, "unloaded", is_on_demand});
    publish(std::move(entry));
  }
  void publish(engine::ModelEntry entry) {
    entry.name = "echo";
    auto models = std::make_shared<engine::ModelSet>(*engine.models());
    models->put(std::move(entry));
    engine.publish(std::move(models));
  }
  int connect() const { return net::testing::connect_tcp(port); }

  std::shared_ptr<GatedSession> session;
  engine::Engine engine;
  front::Bridge bridge;
  net::Server server;
  uint16_t port = 0;
};

}  // namespace fastserve::testing
