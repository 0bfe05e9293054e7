#include "fastserve/http2/client_session.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/session_client.h"

namespace fastserve::http2 {
namespace {

using transport_test::grpc_frame;
using transport_test::grpc_headers;
using transport_test::Headers;
using transport_test::RecordingFront;

struct Got {
  Nanos due;
  int http_status;
  int grpc_status;
  uint64_t bytes;
  uint32_t error_code;
  std::string message;
};

struct Sink final : ReplySink {
  void on_reply(const Ticket& ticket, const Reply& reply) override {
    got.push_back({ticket.due, reply.http_status, reply.grpc_status, reply.body_bytes,
                   reply.error_code, std::string(reply.grpc_message)});
  }
  std::vector<Got> got;
};

// A session and a real server connection, joined in memory.
struct Pair {
  explicit Pair(grpc::ConnectionOptions options = {}, Headers headers = grpc_headers())
      : server(options, &front), client(headers, &sink) {
    front.echo = true;
    pump();
  }
  // Both directions until nothing moves; `piece` bounds what the client gets at once.
  void pump(size_t piece = SIZE_MAX) {
    for (;;) {
      Buffer to_server;
      to_server.swap(client.output());
      if (!to_server.empty()) REQUIRE(server.receive(to_server.bytes(), 0).ok());
      Buffer to_client;
      server.produce(&to_client, SIZE_MAX / 2);
      if (to_server.empty() && to_client.empty()) return;
      for (size_t at = 0; at < to_client.size(); at += std::min(piece, to_client.size() - at)) {
        const size_t size = std::min(piece, to_client.size() - at);
        REQUIRE(client.receive(to_client.bytes().subspan(at, size)).ok());
      }
    }
  }

  RecordingFront front;
  grpc::ServerConnection server;
  Sink sink;
  ClientSession client;
};

std::string raw_frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame += static_cast<char>(payload.size() >> shift & 0xff);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) frame += static_cast<char>(stream >> shift & 0xff);
  return frame.append(payload);
}

TEST_CASE("client_session takes requests once the peer's SETTINGS came") {
  Sink sink;
  ClientSession client(grpc_headers(), &sink);
  CHECK(!client.can_open());
  REQUIRE(client.receive(as_bytes(raw_frame(4, 0, 0, ""))).ok());
  CHECK(client.can_open());
}

TEST_CASE("client_session calls a real server, byte by byte as well") {
  size_t piece = SIZE_MAX;
  SUBCASE("whole") {}
  SUBCASE("in pieces") { piece = 1; }
  Pair pair;
  const std::string body = grpc_frame("hello");
  for (Nanos due = 1; due <= 5; ++due) pair.client.open(as_bytes(body), {.due = due});
  CHECK(pair.client.open_calls() == 5);
  pair.pump(piece);
  REQUIRE(pair.sink.got.size() == 5);
  for (size_t i = 0; i < 5; ++i) {
    const Got& got = pair.sink.got[i];
    CHECK(got.due == static_cast<Nanos>(i) + 1);
    CHECK(got.http_status == 200);
    CHECK(got.grpc_status == 0);
    CHECK(got.bytes == body.size());
    CHECK(pair.front.seen[i].messages == std::vector<std::string>{"hello"});
    CHECK(pair.front.seen[i].path == "/test.Service/Echo");
  }
  CHECK(pair.client.open_calls() == 0);
}

TEST_CASE("client_session sends bodies larger than every window and frame") {
  grpc::ConnectionOptions options;
  options.http2.stream_window_bytes = 65535;
  options.http2.connection_window_bytes = 65535;
  Pair pair(options);
  const std::string message(1 << 20, 'x');
  const std::string body = grpc_frame(message);
  for (int i = 0; i < 3; ++i) pair.client.open(as_bytes(body), {});
  pair.pump();
  REQUIRE(pair.sink.got.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(pair.sink.got[i].grpc_status == 0);
    CHECK(pair.sink.got[i].bytes == body.size());
    CHECK(pair.front.seen[i].messages == std::vector<std::string>{message});
  }
}

TEST_CASE("client_session opens no more streams than the peer allows") {
  grpc::ConnectionOptions options;
  options.http2.max_concurrent_streams = 3;
  Pair pair(options);
  const std::string body = grpc_frame("x");
  int opened = 0;
  for (; opened < 10 && pair.client.can_open(); ++opened) pair.client.open(as_bytes(body), {});
  CHECK(opened == 3);
  pair.pump();
  CHECK(pair.client.can_open());
}

TEST_CASE("client_session keeps thousands of calls apart, whatever order they end in") {
  grpc::ConnectionOptions options;
  options.http2.max_concurrent_streams = 5000;
  Pair pair(options);
  pair.front.echo = false;
  const std::string body = grpc_frame("x");
  for (int i = 0; i < 4000; ++i) pair.client.open(as_bytes(body), {.due = i});
  pair.pump();
  std::vector<bool> is_answered(4000);
  for (size_t i = 0; i < 4000; ++i) {
    const size_t at = i * 1663 % 4000;  // each once
    pair.front.calls[at]->finish({Code::kNotFound, "number " + std::to_string(at)});
    pair.pump();
    REQUIRE(pair.sink.got.size() == i + 1);
    const Got& got = pair.sink.got.back();
    REQUIRE(got.due == static_cast<Nanos>(at));
    REQUIRE(got.grpc_status == 5);
    REQUIRE(!is_answered[at]);
    is_answered[at] = true;
  }
  CHECK(pair.sink.got.back().message.starts_with("number"));
  CHECK(pair.client.open_calls() == 0);
}

TEST_CASE("client_session forgets a call that it cancelled, and the server hears of it") {
  Pair pair;
  pair.front.echo = false;
  const std::string body = grpc_frame("x");
  const uint32_t id = pair.client.open(as_bytes(body), {.due = 9});
  pair.pump();
  Ticket ticket;
  CHECK(pair.client.cancel(id, &ticket));
  CHECK(ticket.due == 9);
  CHECK(!pair.client.cancel(id, &ticket));
  pair.pump();
  CHECK(pair.front.seen[0].cancelled);
  CHECK(pair.sink.got.empty());
}

TEST_CASE("client_session ends the calls that a GOAWAY leaves out, and only those") {
  Pair pair;
  pair.front.echo = false;
  const std::string body = grpc_frame("x");
  pair.client.open(as_bytes(body), {.due = 1});
  pair.client.open(as_bytes(body), {.due = 3});
  const std::string goaway("\0\0\0\1\0\0\0\0", 8);
  REQUIRE(pair.client.receive(as_bytes(raw_frame(7, 0, 0, goaway))).ok());
  REQUIRE(pair.sink.got.size() == 1);
  CHECK(pair.sink.got[0].due == 3);
  CHECK(pair.sink.got[0].error_code == NGHTTP2_REFUSED_STREAM);
  CHECK(pair.client.is_closing());
  CHECK(!pair.client.can_open());
  CHECK(pair.client.open_calls() == 1);
}

TEST_CASE("client_session answers PING") {
  Sink sink;
  ClientSession client(grpc_headers(), &sink);
  REQUIRE(client.receive(as_bytes(raw_frame(4, 0, 0, ""))).ok());
  client.output().clear();
  REQUIRE(client.receive(as_bytes(raw_frame(6, 0, 0, "12345678"))).ok());
  CHECK(as_text(client.output().bytes()) == raw_frame(6, 1, 0, "12345678"));
}

TEST_CASE("client_session reads padding, and a header block in two frames") {
  Sink sink;
  ClientSession client(grpc_headers(), &sink);
  REQUIRE(client.receive(as_bytes(raw_frame(4, 0, 0, ""))).ok());
  const std::string body = grpc_frame("x");
  client.open(as_bytes(body), {});
  const std::string trailer = std::string("\x00\x0b", 2) + "grpc-status" + "\x01" + "5";
  std::string bytes = raw_frame(1, 0x4, 1, "\x88");
  bytes += raw_frame(0, 0x8, 1,
                     std::string("\x02"
                                 "abcdef"
                                 "\0\0",
                                 9));                   // padded by two
  bytes += raw_frame(1, 0x1, 1, trailer.substr(0, 4));  // END_STREAM
  bytes += raw_frame(9, 0x4, 1, trailer.substr(4));
  REQUIRE(client.receive(as_bytes(bytes)).ok());
  REQUIRE(sink.got.size() == 1);
  CHECK(sink.got[0].grpc_status == 5);
  CHECK(sink.got[0].bytes == 6);
}

TEST_CASE("client_session refuses what breaks the protocol") {
  for (const std::string& bytes : {
           raw_frame(6, 0, 0, "short"),
           raw_frame(4, 0, 0, "12345"),
           raw_frame(9, 4, 1, ""),
           raw_frame(5, 4, 1, "abcd"),
           raw_frame(1, 4, 1, "\xff\xff\xff\xff\xff\xff"),
           raw_frame(0, 8, 1,
                     "\x09"
                     "abc"),
           raw_frame(1, 0, 1, "\x88") + raw_frame(0, 0, 1, ""),
           std::string("\xff\xff\xff\0\0\0\0\0\0", 9),
       }) {
    Sink sink;
    ClientSession client(grpc_headers(), &sink);
    CHECK(!client.receive(as_bytes(bytes)).ok());
  }
}

TEST_CASE("client_session keeps its headers right when the table's size changes") {
  Pair pair;
  const std::string body = grpc_frame("x");
  for (const uint32_t size : {4096u, 0u, 100u, 4096u}) {
    std::string setting("\0\1", 2);
    for (const int shift : {24, 16, 8, 0}) setting += static_cast<char>(size >> shift & 0xff);
    REQUIRE(pair.client.receive(as_bytes(raw_frame(4, 0, 0, setting))).ok());
    pair.client.output().clear();  // an ACK of what the server did not send
    for (int i = 0; i < 5; ++i) pair.client.open(as_bytes(body), {});
    pair.pump();
  }
  CHECK(pair.sink.got.size() == 20);
  for (const auto& seen : pair.front.seen) CHECK(seen.path == "/test.Service/Echo");
}

}  // namespace
}  // namespace fastserve::http2
