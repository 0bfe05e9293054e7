// Priorities, queue policies and bounds as clients meet them, on every road into the engine.
#include <doctest/doctest.h>
#include <poll.h>

#include <string>
#include <vector>

#include "fastserve/front/raw_port.h"
#include "tests/front_fixture.h"

using namespace fastserve;
using namespace fastserve::testing;

namespace {

constexpr engine::EngineOptions kOneExecutor{.executors = 1, .inline_budget = 0};

engine::VersionConfig with_policy(const engine::QueuePolicy& policy) {
  engine::VersionConfig config = FrontFixture::echo_config();
  config.queue_policies = {policy};
  return config;
}

// Occupies the one executor with a request that has no bound on its wait.
int32_t keep_busy(FrontFixture& f, SocketClient& client) {
  f.session->close_gate();
  const int32_t stuck = client.call(kInfer, frame_message(request({1})));
  client.write();
  f.session->wait_for_runs(1);
  return stuck;
}

}  // namespace

TEST_CASE(
    "a queue timeout is answered on a call, a stream and a raw port while the model is stuck") {
  FrontFixture f(kOneExecutor);
  SocketClient client(f.connect());
  const int32_t stuck = keep_busy(f, client);
  f.publish(with_policy({.timeout = 5 * kMillisecond}));

  const int32_t unary = client.call(kInfer, frame_message(request({2}, "two")));
  const int32_t stream = client.call(kStream, frame_message(request({3}, "three")));
  CHECK(client.pump_until_closed(unary));
  CHECK(client.answer(unary).status() == "14");
  CHECK(client.answer(unary).headers["grpc-message"].starts_with("Request timeout expired"));
  CHECK(client.pump_until_closed(stream));
  CHECK(client.answer(stream).status() == "0");
  const auto messages = client.answer(stream).messages();
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].find("Request timeout expired") != std::string::npos);
  CHECK(messages[0].find("three") != std::string::npos);

  front::RawPort raw(&f.engine, nullptr);
  Nanos retry_after = 0;
  REQUIRE(raw.submit(7, as_bytes(request({4})), kNever, {}, {}, &retry_after).ok());
  pollfd readable{raw.event_fd(), POLLIN, 0};
  REQUIRE(poll(&readable, 1, 10'000) == 1);
  std::vector<front::RawAnswer> answers;
  raw.take(&answers);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].token == 7);
  CHECK(answers[0].status.code() == Code::kUnavailable);

  CHECK_FALSE(client.answer(stuck).is_closed);
  f.session->open_gate();
  CHECK(client.pump_until_closed(stuck));
  CHECK(client.answer(stuck).status() == "0");
}

TEST_CASE("a raw request cancelled before its queue timeout leaves the queue at once") {
  FrontFixture f(kOneExecutor);
  SocketClient client(f.connect());
  keep_busy(f, client);
  f.publish(with_policy({.timeout = 100 * kSecond}));
  front::RawPort raw(&f.engine, nullptr);
  Nanos retry_after = 0;
  REQUIRE(raw.submit(1, as_bytes(request({2})), kNever, {}, {}, &retry_after).ok());
  CHECK(f.engine.total_queued_bytes() > 0);
  raw.cancel(1);
  CHECK(f.engine.total_queued_bytes() == 0);
}

TEST_CASE("a client's timeout parameter shortens a queue timeout that may be overridden") {
  FrontFixture f(kOneExecutor);
  SocketClient client(f.connect());
  keep_busy(f, client);
  f.publish(with_policy({.timeout = 100 * kSecond, .allow_timeout_override = true}));
  const std::string asked = request({2}) + parameter("timeout", kInt64Parameter, 3000);
  const int32_t id = client.call(kInfer, frame_message(asked));
  CHECK(client.pump_until_closed(id));
  CHECK(client.answer(id).status() == "14");
}

TEST_CASE("a client's timeout parameter is the deadline where the queue has no timeout") {
  FrontFixture f(kOneExecutor);
  SocketClient client(f.connect());
  keep_busy(f, client);
  const std::string asked = request({2}) + parameter("timeout", kInt64Parameter, 3000);
  const int32_t id = client.call(kInfer, frame_message(asked));
  CHECK(client.pump_until_closed(id));
  CHECK(client.answer(id).status() == "4");
}

TEST_CASE("the priority parameter orders waiting calls, as int64 or uint64") {
  FrontFixture f(kOneExecutor);
  SocketClient client(f.connect());
  engine::VersionConfig config = FrontFixture::echo_config();
  config.max_rows = 1;
  config.priority_levels = 2;
  config.default_priority = 2;
  keep_busy(f, client);
  f.publish(config);
  front::RawPort raw(&f.engine, nullptr);
  Nanos retry_after = 0;
  uint64_t token = 0;
  for (const std::string& asked :
       {request({1}), request({2}) + parameter("priority", kInt64Parameter, 1),
        request({3}) + parameter("priority", kUint64Parameter, 2),
        request({4}) + parameter("priority", kUint64Parameter, 1)}) {
    REQUIRE(raw.submit(++token, as_bytes(asked), kNever, {}, {}, &retry_after).ok());
  }
  f.session->open_gate();
  std::vector<front::RawAnswer> answers;
  while (answers.size() < 4) {
    pollfd readable{raw.event_fd(), POLLIN, 0};
    REQUIRE(poll(&readable, 1, 10'000) == 1);
    raw.take(&answers);
  }
  std::vector<uint64_t> order;
  for (const front::RawAnswer& answer : answers) order.push_back(answer.token);
  CHECK(order == std::vector<uint64_t>{2, 4, 1, 3});
}

TEST_CASE("a full level refuses with the time after which to try again") {
  FrontFixture f(kOneExecutor);
  SocketClient client(f.connect());
  keep_busy(f, client);
  f.publish(with_policy({.max_requests = 1}));
  const int32_t waiting = client.call(kInfer, frame_message(request({2})));
  const int32_t refused = client.call(kInfer, frame_message(request({3})));
  CHECK(client.pump_until_closed(refused));
  auto& answer = client.answer(refused);
  CHECK(answer.status() == "8");
  CHECK(answer.headers["grpc-message"].starts_with("Exceeds maximum queue size"));
  CHECK_FALSE(answer.headers["grpc-retry-pushback-ms"].empty());
  CHECK_FALSE(client.answer(waiting).is_closed);
}

TEST_CASE("a request of more rows than a version takes is refused in Triton's words") {
  FrontFixture f;
  engine::VersionConfig config = FrontFixture::echo_config();
  config.max_request_rows = 3;
  f.publish(config);
  SocketClient client(f.connect());
  CHECK(client.unary(kInfer, request({1, 2, 3})).status() == "0");
  const auto& answer = client.unary(kInfer, request({1, 2, 3, 4}));
  CHECK(answer.status() == "3");
  CHECK(answer.headers.at("grpc-message")
            .starts_with("inference request batch-size must be <= 3 for model 'echo', got 4"));
}
