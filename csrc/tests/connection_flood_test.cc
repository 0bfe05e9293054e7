// Peers that mean harm, byte by byte: what cuts them off, and what must not cut off honest ones.
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "tests/raw_peer.h"
#include "tests/session_client.h"

namespace fastserve::transport_test {
namespace {

constexpr int64_t kProtocol = NGHTTP2_PROTOCOL_ERROR;
constexpr int64_t kCalm = NGHTTP2_ENHANCE_YOUR_CALM;

std::string request(uint32_t stream, uint8_t flags = kEndHeaders) {
  return frame(kHeaders, flags, stream, block(grpc_headers()));
}

std::string reset(uint32_t stream) { return frame(kRstStream, 0, stream, be32(NGHTTP2_CANCEL)); }

// Sends what `make` gives for i = 0, 1, ... until the server gives up; how many that took, or
// `most` when it never did. The peer reads when `reads`.
int until_cut(RawPeer& peer, int most, bool reads, const std::function<std::string(int)>& make) {
  for (int i = 0; i < most; ++i) {
    if (!peer.send(make(i))) return i;
    if (reads) peer.read();
    if (peer.server.is_finished()) return i;
  }
  return most;
}

uint32_t id_of(int i) { return static_cast<uint32_t>(2 * i + 1); }

}  // namespace

TEST_CASE("rapid reset is cut off after the burst, and every call was released") {
  RawPeer peer;
  const int cut =
      until_cut(peer, 20'000, true, [](int i) { return request(id_of(i)) + reset(id_of(i)); });
  CHECK(cut == 10'000);
  CHECK(peer.read_goaway() == kCalm);
  CHECK(peer.server.is_finished());
  CHECK(peer.server.open_calls() == 0);
  CHECK(peer.front.closed_calls() == peer.front.seen.size());
  CHECK(!peer.send(request(99'999)));
}

TEST_CASE("rapid reset in one read never opens more calls than the limit") {
  grpc::ConnectionOptions options;
  options.http2.max_concurrent_streams = 16;
  RawPeer peer(options);
  size_t most = 0;
  peer.front.when_called = [&](grpc::Call&) { most = std::max(most, peer.server.open_calls()); };
  std::string bytes;
  for (int i = 0; i < 500; ++i) bytes += request(id_of(i)) + reset(id_of(i));
  CHECK(peer.send(bytes));
  CHECK(most == 1);
  CHECK(peer.server.open_calls() == 0);
}

TEST_CASE("a hundred thousand deadline cancels over one connection do no harm") {
  RawPeer peer;
  const auto headers = [] {
    Headers fields = grpc_headers();
    fields.emplace_back("grpc-timeout", "50m");
    return block(fields);
  }();
  int i = 0;
  bool alive = true;
  // 2,000 calls a second, each reset after 50 ms: no call is ever answered.
  for (int tick = 0; tick < 1'000 && alive; ++tick) {
    std::string bytes;
    for (int k = 0; k < 100; ++k, ++i) bytes += frame(kHeaders, kEndHeaders, id_of(i), headers);
    alive = peer.send(bytes);
    peer.now += 50 * kMillisecond;
    bytes.clear();
    for (int k = i - 100; k < i; ++k) bytes += reset(id_of(k));
    alive = alive && peer.send(bytes);
    alive = alive && peer.read_goaway() == -1;
  }
  CHECK(alive);
  CHECK(peer.front.closed_calls() == 100'000);
}

TEST_CASE("hedged calls, one answered for each one cancelled, do no harm") {
  RawPeer peer;
  peer.front.when_message = [](grpc::Call& call, Buffer& message) {
    if (as_text(message.bytes()) == "win") call.finish(ok_status());
  };
  bool alive = true;
  for (int i = 0; i < 60'000 && alive; i += 2) {
    peer.now += 100 * kMicrosecond;
    alive = peer.send(request(id_of(i)) + frame(kData, kEndStream, id_of(i), grpc_frame("lose")) +
                      request(id_of(i + 1)) +
                      frame(kData, kEndStream, id_of(i + 1), grpc_frame("win")));
    peer.read();
    alive = alive && peer.send(reset(id_of(i)));
  }
  CHECK(alive);
}

TEST_CASE("resets that cross their answer on the wire are free") {
  RawPeer peer;
  peer.front.when_called = [](grpc::Call& call) { call.finish(ok_status()); };
  const int cut = until_cut(peer, 30'000, true, [](int i) {
    return (i > 0 ? reset(id_of(i - 1)) : std::string()) +
           request(id_of(i), kEndHeaders | kEndStream);
  });
  CHECK(cut == 30'000);
}

TEST_CASE("a second reset of a stream that is gone is priced like any other") {
  RawPeer peer;
  REQUIRE(peer.send(request(1) + reset(1)));
  const int cut = until_cut(peer, 30'000, true, [](int) { return reset(1); });
  CHECK(cut == 9'999);
}

TEST_CASE("each MadeYouReset primitive ends the connection or is priced, and frees its call") {
  struct Primitive {
    const char* name;
    std::function<std::string(uint32_t)> attack;
  };
  const Primitive primitives[] = {
      {"WINDOW_UPDATE of 0", [](uint32_t id) { return frame(kWindowUpdate, 0, id, be32(0)); }},
      {"WINDOW_UPDATE over 2^31-1",
       [](uint32_t id) { return frame(kWindowUpdate, 0, id, be32(0x7fffffff)); }},
      {"PRIORITY of bad length", [](uint32_t id) { return frame(kPriority, 0, id, "1234"); }},
      {"HEADERS after END_STREAM",
       [](uint32_t id) {
         return frame(kData, kEndStream, id, "") + request(id, kEndHeaders | kEndStream);
       }},
      {"DATA after END_STREAM",
       [](uint32_t id) { return frame(kData, kEndStream, id, "") + frame(kData, 0, id, "x"); }},
      {"trailers without END_STREAM", [](uint32_t id) { return request(id); }},
      {"upper-case header name in trailers",
       [](uint32_t id) {
         return frame(kHeaders, kEndHeaders | kEndStream, id, literal("X-Bad", "1"));
       }},
  };
  for (const Primitive& primitive : primitives) {
    CAPTURE(primitive.name);
    for (const bool reads : {true, false}) {
      CAPTURE(reads);
      RawPeer peer;
      size_t most_open = 0;
      const int cut = until_cut(peer, 10'000, reads, [&](int i) {
        most_open = std::max(most_open, peer.server.open_calls());
        return request(id_of(i)) + primitive.attack(id_of(i));
      });
      // A deaf peer has its streams, which no RST_STREAM frees, and then no more.
      if (reads) {
        CHECK(cut <= 2'100);
        CHECK(most_open <= 1);
      } else {
        CHECK(peer.front.seen.size() <= 1'024);
      }
      peer.read();
      CHECK(peer.server.is_finished());
      CHECK(peer.server.open_calls() == 0);
      CHECK(peer.front.closed_calls() == peer.front.seen.size());
    }
  }
}

TEST_CASE("a stream that depends on itself ends the connection") {
  RawPeer peer;
  const std::string self = be32(1) + std::string(1, '\x10');
  peer.send(frame(kHeaders, kEndHeaders | kHasPriority, 1, self + block(grpc_headers())));
  CHECK(peer.read_goaway() == kProtocol);
  CHECK(peer.server.is_finished());
  CHECK(peer.front.seen.empty());
}

TEST_CASE("an endless header block is cut off by frames and by bytes") {
  {
    RawPeer peer;
    REQUIRE(peer.send(frame(kHeaders, 0, 1, block(grpc_headers()))));
    const int cut = until_cut(peer, 100, false, [](int) { return frame(kContinuation, 0, 1, ""); });
    CHECK(cut <= 8);
    CHECK(peer.read_goaway() == kCalm);
  }
  {
    RawPeer peer;
    REQUIRE(peer.send(frame(kHeaders, 0, 1, block(grpc_headers()))));
    const int cut = until_cut(peer, 100, false, [](int) {
      return frame(kContinuation, 0, 1, std::string(30'000, '\0'));
    });
    CHECK(cut <= 2);
    CHECK(peer.read_goaway() == kCalm);
  }
}

TEST_CASE("an HPACK bomb resets its stream, and the table stays in step") {
  RawPeer peer;
  // One 3,900-byte value enters the dynamic table; each further byte refers to it.
  std::string bomb = block(grpc_headers());
  bomb += '\x40';
  bomb += '\x05';
  bomb += "x-big";
  bomb += "\x7f\xbd\x1d";  // 3,900 = 127 + 3,773
  bomb += std::string(3'900, 'a');
  bomb += std::string(4'000, '\xbe');  // index 62
  // A second entry after the limit was passed: the rest is decoded all the same.
  bomb += '\x40';
  bomb += std::string("\x05x-tag\x03one", 10);
  CHECK(peer.send(frame(kHeaders, kEndHeaders | kEndStream, 1, bomb)));
  CHECK(peer.read_reset(1) == kCalm);
  CHECK(peer.front.seen.empty());

  std::string tag;
  peer.front.when_called = [&tag](grpc::Call& call) { tag = call.header("x-tag"); };
  CHECK(peer.send(frame(kHeaders, kEndHeaders, 3, block(grpc_headers()) + '\xbe')));
  CHECK(tag == "one");
}

TEST_CASE("header count and bytes are limited exactly") {
  const size_t base = grpc_headers().size();
  for (const size_t count : {size_t{128}, size_t{129}}) {
    RawPeer peer;
    Headers headers = grpc_headers();
    for (size_t i = base; i < count; ++i) headers.emplace_back("x", "");
    CHECK(peer.send(frame(kHeaders, kEndHeaders, 1, block(headers))));
    CHECK(peer.front.seen.size() == (count == 128 ? 1 : 0));
    CHECK(peer.read_reset(1) == (count == 128 ? -1 : kCalm));
  }
  size_t used = 0;
  for (const auto& [name, value] : grpc_headers()) used += name.size() + value.size() + 32;
  for (const size_t extra : {size_t{0}, size_t{1}}) {
    grpc::ConnectionOptions options;
    options.http2.max_header_bytes = static_cast<uint32_t>(used + 33 + 50);
    RawPeer peer(options);
    Headers headers = grpc_headers();
    headers.emplace_back("x", std::string(50 + extra, 'v'));
    CHECK(peer.send(frame(kHeaders, kEndHeaders, 1, block(headers))));
    CHECK(peer.front.seen.size() == 1 - extra);
  }
}

TEST_CASE("trailers of a request are limited like its headers") {
  RawPeer peer;
  Headers many;
  for (int i = 0; i < 200; ++i) many.emplace_back("x", "y");
  CHECK(peer.send(request(1) + frame(kHeaders, kEndHeaders | kEndStream, 1, block(many))));
  CHECK(peer.read_reset(1) == kCalm);
  CHECK(peer.front.seen.at(0).cancelled);
}

TEST_CASE("control frame floods are cut off, whether the peer reads or not") {
  struct Flood {
    const char* name;
    std::string bytes;
    int most_reading, most_deaf;
  };
  const Flood floods[] = {
      {"PING", frame(kPing, 0, 0, "12345678"), 10'001, 1'001},
      {"SETTINGS", frame(kSettings, 0, 0, ""), 1'000, 1'000},
      {"SETTINGS of a window", frame(kSettings, 0, 0, std::string("\0\4\0\1\0\0", 6)), 1'000,
       1'000},
      {"PRIORITY", frame(kPriority, 0, 7, be32(0) + "1"), 10'000, 10'000},
      {"empty DATA", frame(kData, 0, 1, ""), 10'000, 10'000},
      {"padding only", frame(kData, kPadded, 1, std::string(1, '\x03') + "000"), 10'000, 10'000},
      {"WINDOW_UPDATE", frame(kWindowUpdate, 0, 0, be32(1)), 10'020, 10'020},
      {"unknown type", frame(77, 0, 0, ""), 10'000, 10'000},
      {"GOAWAY", frame(kGoaway, 0, 0, be32(0) + be32(0)), 10'000, 10'000},
      {"HEADERS of a closed stream", frame(kHeaders, 0, 3, "") + frame(kContinuation, 4, 3, ""),
       10'000, 10'000},
  };
  for (const Flood& flood : floods) {
    CAPTURE(flood.name);
    for (const bool reads : {true, false}) {
      CAPTURE(reads);
      RawPeer peer;
      REQUIRE(peer.send(request(1) + request(3) + reset(3)));
      const int cut = until_cut(peer, 50'000, reads, [&](int) { return flood.bytes; });
      CHECK(cut <= (reads ? flood.most_reading : flood.most_deaf));
      Buffer out;
      peer.server.produce(&out, 1 << 20);
      CHECK(out.size() <= 64 * 1024);
      CHECK(peer.server.is_finished());
      CHECK(peer.server.open_calls() == 0);
    }
  }
}

TEST_CASE("a peer that never reads its answers is bounded by its streams") {
  RawPeer peer;
  peer.front.when_called = [](grpc::Call& call) {
    call.finish({Code::kNotFound, "no such model"});
  };
  // Streams stay open until their answers are framed, so the stream limit holds; one more is a
  // connection error, and nothing that follows is looked at.
  until_cut(peer, 50'000, false, [](int i) { return request(id_of(i)); });
  CHECK(peer.front.seen.size() == 1'024);
  CHECK(peer.server.open_calls() == 1'024);
  CHECK(peer.read_goaway() == kProtocol);
  CHECK(peer.server.is_finished());
  CHECK(peer.server.open_calls() == 0);
}

TEST_CASE("a PING for each answer, as gRPC peers measure bandwidth, does no harm") {
  RawPeer peer;
  peer.front.echo = true;
  const int cut = until_cut(peer, 30'000, true, [](int i) {
    return request(id_of(i)) + frame(kData, kEndStream, id_of(i), grpc_frame("x")) +
           frame(kPing, 0, 0, "12345678") + frame(kWindowUpdate, 0, 0, be32(6));
  });
  CHECK(cut == 30'000);
}

TEST_CASE("more streams than the limit are refused before the settings are known") {
  grpc::ConnectionOptions options;
  options.http2.max_concurrent_streams = 4;
  RecordingFront front;
  grpc::ServerConnection server(options, &front);
  std::string bytes = preface();
  for (int i = 0; i < 8; ++i) bytes += request(id_of(i));
  CHECK(server.receive(as_bytes(bytes), 0).ok());
  CHECK(server.open_calls() == 4);
  Buffer out;
  server.produce(&out, 1 << 20);
  CHECK(!server.is_finished());
}

TEST_CASE("a peer that ignores its stream window is reset, and what it sent is not kept") {
  grpc::ConnectionOptions options;
  options.http2.stream_window_bytes = 65'535;
  RawPeer peer(options);
  peer.front.when_called = [](grpc::Call& call) { call.hold_messages(true); };
  REQUIRE(peer.send(request(1)));
  std::string body;
  while (body.size() < 80'000) body += grpc_frame(std::string(995, 'x'));
  bool reset_seen = false;
  for (size_t at = 0; at < body.size(); at += 16'000) {
    CHECK(peer.send(frame(kData, 0, 1, body.substr(at, 16'000))));
    size_t held = 0;
    for (const auto& message : peer.front.seen.at(0).messages) held += message.size();
    CHECK(held <= 65'535);
    reset_seen = reset_seen || peer.read_reset(1) == NGHTTP2_FLOW_CONTROL_ERROR;
  }
  CHECK(reset_seen);
  CHECK(peer.front.seen.at(0).cancelled);
  CHECK(!peer.server.is_finished());
}

TEST_CASE("a peer that ignores the connection window loses the connection") {
  grpc::ConnectionOptions options;
  options.http2.connection_window_bytes = 100'000;
  RawPeer peer(options);
  peer.front.when_called = [](grpc::Call& call) { call.hold_messages(true); };
  size_t held = 0;
  peer.front.when_message = [&held](grpc::Call&, Buffer& message) { held += message.size(); };
  const int cut = until_cut(peer, 100, true, [](int i) {
    return request(id_of(i)) + frame(kData, 0, id_of(i), grpc_frame(std::string(9'000, 'x')));
  });
  CHECK(cut <= 12);
  CHECK(held <= 100'000);
  CHECK(peer.server.open_calls() == 0);
}

TEST_CASE("a call that crosses the first GOAWAY is served, one after the second is not") {
  RawPeer peer;
  peer.front.echo = true;
  auto call = [](uint32_t id) {
    return request(id) + frame(kData, kEndStream, id, grpc_frame("x"));
  };
  auto is_answered = [&peer](uint32_t id) {
    bool ended = false;
    for (const SentFrame& sent : peer.read()) {
      ended = ended || (sent.type == kHeaders && sent.stream == id && (sent.flags & kEndStream));
    }
    return ended;
  };
  peer.server.start_drain();
  peer.read();
  CHECK(peer.send(call(1)));
  CHECK(is_answered(1));
  CHECK(!peer.server.is_finished());
  peer.server.finish_drain();
  (void)peer.send(call(3));  // before the second GOAWAY is framed: still in time to be seen
  peer.read();
  CHECK(peer.server.is_finished());
  (void)peer.send(call(5));
  CHECK(peer.front.seen.size() <= 2);
  CHECK(peer.server.open_calls() == 0);
  for (const auto& seen : peer.front.seen) CHECK(seen.closed == 1);
}

TEST_CASE("what is not HTTP/2 ends the connection at once") {
  const std::string cases[] = {
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + frame(kPing, 0, 0, "12345678"),
      preface() + frame(kData, 0, 0, "x"),
      preface() + frame(kData, 0, 5, "x"),
      preface() + frame(kHeaders, kEndHeaders, 2, block(grpc_headers())),
      preface() + frame(kContinuation, 0, 1, ""),
      preface() + frame(kHeaders, 0, 1, "") + frame(kPing, 0, 0, "12345678"),
      preface() + frame(kData, 0, 1, std::string(70'000, 'x')),
      preface() + frame(kHeaders, kEndHeaders, 1, "\x80"),
      preface() + frame(kPing, 0, 0, "123"),
      preface() + frame(kSettings, 0, 0, "12345"),
      preface() + frame(kWindowUpdate, 0, 0, be32(0)),
      preface() + frame(kWindowUpdate, 0, 0, be32(0x7fffffff)),
      preface() + request(1) + frame(kPriority, 0, 1, ""),
  };
  for (const std::string& bytes : cases) {
    CAPTURE(bytes);
    RecordingFront front;
    grpc::ServerConnection server({}, &front);
    (void)server.receive(as_bytes(bytes), 0);
    Buffer out;
    while (server.produce(&out, 1 << 20)) {
    }
    CHECK(server.is_finished());
    CHECK(server.open_calls() == 0);
    CHECK(front.closed_calls() == front.seen.size());
    CHECK(!server.receive(as_bytes(request(7)), 0).ok());
    CHECK(front.seen.size() <= 1);
  }
}

TEST_CASE("malformed requests reset their stream and leave the connection alone") {
  RawPeer peer;
  auto changed = [](std::string_view name, std::string value) {
    Headers headers = grpc_headers();
    for (auto& field : headers) {
      if (field.first == name) field.second = value;
    }
    return headers;
  };
  Headers two_paths = grpc_headers();
  two_paths.insert(two_paths.begin(), {":path", "/a/b"});
  Headers late_pseudo = grpc_headers();
  late_pseudo.emplace_back(":late", "x");
  Headers upper = grpc_headers();
  upper.emplace_back("Upper", "x");
  Headers control = grpc_headers();
  control.emplace_back("x-control", "a\nb");
  Headers hop = grpc_headers();
  hop.emplace_back("connection", "close");
  const Headers cases[] = {two_paths,
                           late_pseudo,
                           upper,
                           control,
                           hop,
                           changed("te", "gzip"),
                           Headers{{":path", "/a/b"}}};
  uint32_t id = 1;
  for (const Headers& headers : cases) {
    CAPTURE(id);
    CHECK(peer.send(frame(kHeaders, kEndHeaders, id, block(headers))));
    const int64_t code = peer.read_reset(id);
    CHECK((code == kProtocol || code == NGHTTP2_INTERNAL_ERROR));
    id += 2;
  }
  CHECK(peer.front.seen.empty());
  CHECK(peer.send(request(id)));
  CHECK(peer.front.seen.size() == 1);
}

TEST_CASE("content-length that does not match the body resets the stream") {
  RawPeer peer;
  Headers headers = grpc_headers();
  headers.emplace_back("content-length", "3");
  CHECK(peer.send(frame(kHeaders, kEndHeaders, 1, block(headers)) +
                  frame(kData, kEndStream, 1, grpc_frame("too long"))));
  CHECK(peer.read_reset(1) == kProtocol);
  CHECK(peer.front.seen.at(0).cancelled);
  CHECK(peer.front.seen.at(0).messages.empty());
}

}  // namespace fastserve::transport_test
