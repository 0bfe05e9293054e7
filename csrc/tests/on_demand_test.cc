// Requests for a version that is loaded when it is asked for: they wait, and never for ever.
#include <doctest/doctest.h>
#include <poll.h>

#include <string>
#include <vector>

#include "fastserve/front/raw_port.h"
#include "tests/front_fixture.h"

using namespace fastserve;
using namespace fastserve::testing;

namespace {

// Until a request's wish arrives; the wishes.
std::vector<engine::Wanted::Wish> wait_for_wish(engine::Engine& engine) {
  pollfd wanted{engine.wanted().event_fd(), POLLIN, 0};
  REQUIRE(poll(&wanted, 1, 10'000) == 1);
  return engine.wanted().take();
}

}  // namespace

TEST_CASE("a request for a version loaded on demand waits for it and is answered") {
  FrontFixture f;
  f.publish_unloaded(true);
  SocketClient client(f.connect());
  const int32_t unary = client.call(kInfer, frame_message(request({5})));
  const int32_t stream =
      client.call(kStream, frame_message(request({6}, "six")) + frame_message(request({7})));
  client.write();
  auto wishes = wait_for_wish(f.engine);
  CHECK(wishes.front() == engine::Wanted::Wish("echo", ""));
  f.publish();
  REQUIRE(client.pump_until_closed(unary));
  REQUIRE(client.pump_until_closed(stream));
  CHECK(client.answer(unary).messages().at(0).find(raw_rows({5})) != std::string::npos);
  CHECK(client.answer(stream).messages().at(0).find(raw_rows({6})) != std::string::npos);
  CHECK(client.answer(stream).messages().at(1).find(raw_rows({7})) != std::string::npos);
}

TEST_CASE("a request whose version fails to load is told why") {
  FrontFixture f;
  f.publish_unloaded(true);
  SocketClient client(f.connect());
  const int32_t unary = client.call(kInfer, frame_message(request({5})));
  client.write();
  wait_for_wish(f.engine);
  f.publish_unloaded(false);
  REQUIRE(client.pump_until_closed(unary));
  CHECK(client.answer(unary).status() == "14");
  CHECK(client.answer(unary).headers["grpc-message"].find("unloaded") != std::string::npos);
}

TEST_CASE("a request that waits for its version goes on waiting over other changes") {
  FrontFixture f;
  f.publish_unloaded(true);
  SocketClient client(f.connect());
  const int32_t unary = client.call(kInfer, frame_message(request({5})));
  client.write();
  wait_for_wish(f.engine);
  f.publish_unloaded(true);
  // Asked for again, since the change might have dropped the wish.
  wait_for_wish(f.engine);
  f.publish();
  REQUIRE(client.pump_until_closed(unary));
  CHECK(client.answer(unary).status() == "0");
}

TEST_CASE("a request that waits for its version ends at its deadline, or when it is reset") {
  FrontFixture f;
  f.publish_unloaded(true);
  SocketClient client(f.connect());
  const int32_t late = client.call(kInfer, frame_message(request({5})), true, "20m");
  REQUIRE(client.pump_until_closed(late));
  CHECK(client.answer(late).status() == "4");
  const int32_t gone = client.call(kInfer, frame_message(request({6})));
  client.write();
  client.reset(gone);
  const int32_t late_stream = client.call(kStream, frame_message(request({7})), true, "20m");
  REQUIRE(client.pump_until_closed(late_stream));
  CHECK(client.answer(late_stream).status() == "4");
  f.publish();
  CHECK(client.unary(kInfer, request({8})).status() == "0");
}

TEST_CASE("requests that wait for their version are bounded") {
  FrontFixture f;
  f.publish_unloaded(true);
  SocketClient client(f.connect());
  const std::string large = request(std::vector<int64_t>(3 << 20));
  std::vector<int32_t> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(client.call(kInfer, frame_message(large)));
  int32_t refused = 0;
  CHECK(client.pump([&] {
    for (const int32_t id : calls) {
      if (client.answer(id).is_closed) refused = id;
    }
    return refused != 0;
  }));
  CHECK(client.answer(refused).status() == "8");
}

TEST_CASE("raw_port answers a request that waited for its version") {
  FrontFixture f;
  f.publish_unloaded(true);
  front::RawPort port(&f.engine, nullptr);
  const std::string message = request({9});
  Nanos retry_after = 0;
  REQUIRE(port.submit(1, as_bytes(message), kNever, {}, {}, &retry_after).ok());
  REQUIRE(port.submit(2, as_bytes(message), kNever, {}, {}, &retry_after).ok());
  port.cancel(2);
  wait_for_wish(f.engine);
  f.publish();
  std::vector<front::RawAnswer> answers;
  pollfd answered{port.event_fd(), POLLIN, 0};
  while (answers.empty()) {
    REQUIRE(poll(&answered, 1, 10'000) == 1);
    port.take(&answers);
  }
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].token == 1);
  CHECK(answers[0].status.ok());
}
