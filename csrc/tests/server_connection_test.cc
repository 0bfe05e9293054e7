// ServerConnection against a real HTTP/2 client: what a well-behaved peer sees.
#include "fastserve/grpc/server_connection.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/session_client.h"

namespace fastserve::transport_test {
namespace {

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

Headers with(Headers headers, std::string name, std::string value) {
  headers.emplace_back(std::move(name), std::move(value));
  return headers;
}

}  // namespace

TEST_CASE("a unary call gets headers, one message and trailers, in one write") {
  Joined joined;
  joined.front.echo = true;
  const int32_t id = joined.client.call("hello");
  const std::string request = joined.client.take_output();
  REQUIRE(joined.server.receive(as_bytes(request), 5).ok());
  Buffer out;
  CHECK(!joined.server.produce(&out, 1 << 20));
  joined.client.feed(out.bytes());

  const Answer& answer = joined.client.answer(id);
  CHECK(answer.headers == Headers{{":status", "200"},
                                  {"content-type", "application/grpc"},
                                  {"grpc-accept-encoding", "identity, deflate, gzip"}});
  CHECK(answer.body == grpc_frame("hello"));
  CHECK(answer.trailers == Headers{{"grpc-status", "0"}});
  CHECK(answer.data_frames == 1);
  CHECK(answer.closed);
  CHECK(answer.error_code == 0);
  const auto& seen = joined.front.seen.at(0);
  CHECK(seen.path == "/test.Service/Echo");
  CHECK(seen.deadline == kNever);
  CHECK(seen.half_closed);
  CHECK(seen.closed == 1);
  CHECK(!seen.cancelled);
  CHECK(joined.server.open_calls() == 0);
}

TEST_CASE("a failed call is trailers-only with a percent-encoded message") {
  Joined joined;
  joined.front.when_called = [](grpc::Call& call) {
    call.finish({Code::kNotFound, "no model 'Zürich' 100%\n"});
  };
  const int32_t id = joined.client.call("x");
  joined.client.pump();
  const Answer& answer = joined.client.answer(id);
  CHECK(answer.headers == Headers{{":status", "200"},
                                  {"content-type", "application/grpc"},
                                  {"grpc-accept-encoding", "identity, deflate, gzip"},
                                  {"grpc-status", "5"},
                                  {"grpc-message", "no model 'Z%C3%BCrich' 100%25%0A"}});
  CHECK(answer.header_blocks == 1);
  CHECK(answer.data_frames == 0);
  CHECK(!joined.front.seen.at(0).cancelled);
}

TEST_CASE("the message arrives whole wherever its bytes are cut") {
  const std::string body = grpc_frame("split me") + grpc_frame("") + grpc_frame("again");
  for (size_t cut = 0; cut <= body.size(); ++cut) {
    Joined joined;
    joined.front.echo = true;
    const int32_t id = joined.client.open(grpc_headers());
    joined.client.write(id, body.substr(0, cut));
    joined.client.pump();
    joined.client.write(id, body.substr(cut));
    joined.client.half_close(id);
    joined.client.pump();
    const auto& seen = joined.front.seen.at(0);
    CHECK(seen.messages == std::vector<std::string>{"split me", "", "again"});
    CHECK(seen.aligned);
    CHECK(joined.client.answer(id).body == body);
    CHECK(joined.client.answer(id).field("grpc-status") == "0");
  }
}

TEST_CASE("a connection fed byte by byte gives the same answer") {
  Joined joined;
  joined.front.echo = true;
  const int32_t id = joined.client.call("byte by byte");
  for (const char byte : joined.client.take_output()) {
    REQUIRE(joined.server.receive(as_bytes({&byte, 1}), 0).ok());
  }
  joined.client.pump();
  CHECK(joined.client.answer(id).body == grpc_frame("byte by byte"));
  CHECK(joined.client.answer(id).error_code == 0);
}

TEST_CASE("a large message passes both ways through small windows and ends aligned") {
  grpc::ConnectionOptions options;
  options.http2.stream_window_bytes = 64 * 1024;
  options.http2.connection_window_bytes = 128 * 1024;
  Joined joined(options, 65535);
  joined.front.echo = true;
  for (const size_t size : {1'000'003u, 4'194'304u, 16u, 65'531u}) {
    const std::string message = pattern(size);
    const int32_t id = joined.client.call(message);
    REQUIRE(joined.client.pump());
    CHECK(joined.front.seen.back().messages.at(0) == message);
    CHECK(joined.front.seen.back().aligned);
    CHECK(joined.client.answer(id).body == grpc_frame(message));
    CHECK(joined.client.answer(id).field("grpc-status") == "0");
  }
}

TEST_CASE("the windows are whole again after much more data than they hold") {
  grpc::ConnectionOptions options;
  options.http2.stream_window_bytes = 256 * 1024;
  options.http2.connection_window_bytes = 512 * 1024;
  Joined joined(options);
  joined.front.echo = true;
  for (int i = 0; i < 200; ++i) joined.client.call(pattern(100'000));
  REQUIRE(joined.client.pump());
  CHECK(joined.front.closed_calls() == 200);
  // Credit is returned in steps of half a window by the library, a quarter at most by us.
  CHECK(nghttp2_session_get_remote_window_size(joined.client.session) >= 128 * 1024);
}

TEST_CASE("held messages stop the peer at its stream window until they are credited") {
  grpc::ConnectionOptions options;
  options.http2.stream_window_bytes = 64 * 1024;
  Joined joined(options);
  joined.front.when_called = [](grpc::Call& call) { call.hold_messages(true); };
  const int32_t id = joined.client.open(grpc_headers());
  constexpr size_t kMessage = 1000;
  constexpr size_t kCount = 1000;
  for (size_t i = 0; i < kCount; ++i) joined.client.write(id, grpc_frame(pattern(kMessage)));
  joined.client.half_close(id);
  joined.client.pump();
  auto& seen = joined.front.seen.at(0);
  const size_t first = seen.messages.size();
  CHECK(first >= 60);
  CHECK(first <= 66);  // 64 KiB of unread messages, prefixes given back
  size_t credited = 0;
  while (credited < kCount) {
    const size_t arrived = seen.messages.size();
    REQUIRE(arrived > credited);
    CHECK((arrived - credited) * kMessage <= 64 * 1024);
    joined.front.calls.at(0)->credit((arrived - credited) * kMessage);
    credited = arrived;
    joined.client.pump();
  }
  CHECK(seen.messages.size() == kCount);
  CHECK(seen.half_closed);
}

TEST_CASE("a message larger than the window arrives though messages are held") {
  grpc::ConnectionOptions options;
  options.http2.stream_window_bytes = 64 * 1024;
  Joined joined(options);
  joined.front.when_called = [](grpc::Call& call) { call.hold_messages(true); };
  joined.client.call(pattern(1'000'000));
  joined.client.pump();
  CHECK(joined.front.seen.at(0).messages.size() == 1);
}

TEST_CASE("the front hears when a slow peer reads again, and produce keeps to its limit") {
  Joined joined;
  joined.front.when_message = [](grpc::Call& call, Buffer&) {
    call.send_message(framed(pattern(900'000)));
  };
  const int32_t id = joined.client.call("go");
  REQUIRE(joined.server.receive(as_bytes(joined.client.take_output()), 0).ok());
  CHECK(joined.front.calls.at(0)->queued_bytes() == 900'005);
  Buffer out;
  CHECK(joined.server.produce(&out, 100'000));
  CHECK(out.size() >= 100'000);
  CHECK(out.size() <= 100'000 + 16384 + 9);
  CHECK(joined.front.seen.at(0).writable == 0);
  joined.client.feed(out.bytes());
  joined.client.pump();
  CHECK(joined.front.seen.at(0).writable == 1);
  CHECK(joined.client.answer(id).body == grpc_frame(pattern(900'000)));
  CHECK(!joined.client.answer(id).ended);
  joined.front.calls.at(0)->finish(ok_status());
  joined.client.pump();
  CHECK(joined.client.answer(id).ended);
  CHECK(joined.client.answer(id).empty_data_frames == 0);
}

TEST_CASE("bidirectional streaming interleaves messages and ends with trailers") {
  Joined joined;
  joined.front.echo = true;
  const int32_t id = joined.client.open(grpc_headers("/test.Service/Chat"));
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    const std::string message = "message " + std::to_string(i);
    expected += grpc_frame(message);
    joined.client.write(id, grpc_frame(message));
    joined.client.pump();
    CHECK(joined.client.answer(id).body == expected);
  }
  joined.client.half_close(id);
  joined.client.pump();
  CHECK(joined.client.answer(id).trailers == Headers{{"grpc-status", "0"}});
}

TEST_CASE("an answer before the request is complete ends with RST_STREAM NO_ERROR") {
  Joined joined;
  joined.front.when_called = [](grpc::Call& call) {
    call.finish({Code::kResourceExhausted, "full"});
  };
  const int32_t id = joined.client.open(grpc_headers());
  joined.client.write(id, pattern(100));
  joined.client.pump();
  const Answer& answer = joined.client.answer(id);
  CHECK(answer.field("grpc-status") == "8");
  CHECK(answer.ended);
  CHECK(answer.closed);
  CHECK(answer.error_code == NGHTTP2_NO_ERROR);
  CHECK(!joined.front.seen.at(0).cancelled);
  CHECK(joined.server.open_calls() == 0);
}

TEST_CASE("RST_STREAM cancels a call before, during and after its message") {
  Joined joined;
  const int32_t before = joined.client.open(grpc_headers());
  joined.client.pump();
  const int32_t during = joined.client.open(grpc_headers());
  joined.client.write(during, grpc_frame("abc").substr(0, 6));
  joined.client.pump();
  const int32_t after = joined.client.call("abc");
  joined.client.pump();
  CHECK(joined.server.open_calls() == 3);
  for (const int32_t id : {before, during, after}) joined.client.cancel(id);
  CHECK(joined.client.pump());
  for (const auto& seen : joined.front.seen) {
    CHECK(seen.closed == 1);
    CHECK(seen.cancelled);
  }
  CHECK(joined.server.open_calls() == 0);
}

TEST_CASE("RST_STREAM with NO_ERROR before the answer is a cancel too") {
  Joined joined;
  const int32_t id = joined.client.call("abc");
  joined.client.pump();
  joined.client.cancel(id, NGHTTP2_NO_ERROR);
  joined.client.pump();
  CHECK(joined.front.seen.at(0).cancelled);
}

TEST_CASE("a connection that goes away cancels its calls") {
  RecordingFront front;
  {
    grpc::ServerConnection server({}, &front);
    SessionClient client(&server);
    client.call("abc");
    client.pump();
    CHECK(server.open_calls() == 1);
  }
  CHECK(front.seen.at(0).closed == 1);
  CHECK(front.seen.at(0).cancelled);
}

TEST_CASE("grpc-timeout sets the deadline from the arrival of the headers") {
  Joined joined;
  joined.client.call("x", with(grpc_headers(), "grpc-timeout", "250m"));
  joined.client.pump(1000);
  CHECK(joined.front.seen.at(0).deadline == 1000 + 250 * kMillisecond);
  joined.client.call("x", with(grpc_headers(), "grpc-timeout", "99999999H"));
  joined.client.pump(2000);
  CHECK(joined.front.seen.at(1).deadline == kNever);
}

TEST_CASE("draining in two steps lets open calls end and then finishes") {
  Joined joined;
  const int32_t open = joined.client.open(grpc_headers());
  joined.client.pump();
  joined.server.start_drain();
  joined.client.pump();
  CHECK(joined.client.goaway_last_ids == std::vector<int32_t>{INT32_MAX});
  CHECK(joined.client.goaway_codes == std::vector<uint32_t>{0});
  CHECK(!joined.server.is_finished());
  joined.server.finish_drain();
  joined.client.pump();
  CHECK(joined.client.goaway_last_ids == std::vector<int32_t>{INT32_MAX, open});
  CHECK(!joined.server.is_finished());
  CHECK(joined.server.open_calls() == 1);
  joined.front.echo = true;
  joined.client.write(open, grpc_frame("late"));
  joined.client.half_close(open);
  joined.client.pump();
  CHECK(joined.client.answer(open).body == grpc_frame("late"));
  CHECK(joined.client.answer(open).error_code == 0);
  CHECK(joined.server.is_finished());
}

TEST_CASE("an idle connection is finished as soon as it is drained") {
  Joined joined;
  CHECK(!joined.server.is_finished());
  joined.server.start_drain();
  joined.client.pump();
  CHECK(!joined.server.is_finished());
  joined.server.finish_drain();
  CHECK(!joined.server.is_finished());
  joined.client.pump();
  CHECK(joined.server.is_finished());
}

TEST_CASE("a thousand calls reuse the streams of sixty-four") {
  Joined joined;
  joined.front.echo = true;
  int ok = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<int32_t> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(joined.client.call("call " + std::to_string(i)));
    REQUIRE(joined.client.pump());
    for (int i = 0; i < 64; ++i) {
      ok += joined.client.answer(ids[static_cast<size_t>(i)]).body ==
            grpc_frame("call " + std::to_string(i));
    }
  }
  CHECK(ok == 20 * 64);
  CHECK(joined.server.open_calls() == 0);
}

TEST_CASE("unfinished messages of all calls together are bounded") {
  grpc::ConnectionOptions options;
  options.max_assembling_bytes = 300'000;
  Joined joined(options);
  const std::string body = grpc_frame(pattern(250'000));
  const int32_t first = joined.client.open(grpc_headers());
  joined.client.write(first, body.substr(0, 200'000));
  joined.client.pump();
  const int32_t second = joined.client.open(grpc_headers());
  joined.client.write(second, body.substr(0, 200'000));
  joined.client.pump();
  CHECK(joined.client.answer(second).field("grpc-status") == "8");
  CHECK(!joined.client.answer(first).closed);
  joined.client.write(first, body.substr(200'000));
  joined.client.pump();
  CHECK(joined.front.seen.at(0).messages.at(0) == pattern(250'000));
}

}  // namespace fastserve::transport_test
