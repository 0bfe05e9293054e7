// A peer made of raw frames: it says whatever a test wants, well-formed or not.
#pragma once

#include <doctest/doctest.h>
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/grpc/server_connection.h"
#include "tests/session_client.h"

namespace fastserve::transport_test {

// RFC 9113, section 6.
enum Frame : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
enum Flag : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kHasPriority = 32 };

inline std::string be32(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  return out;
}

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = be32(static_cast<uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += be32(stream);
  out += payload;
  return out;
}

// A literal header field without indexing (RFC 7541, 6.2.2), lengths under 127.
inline std::string literal(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out += static_cast<char>(name.size());
  out += name;
  out += static_cast<char>(value.size());
  out += value;
  return out;
}

inline std::string block(const Headers& headers) {
  std::string out;
  for (const auto& [name, value] : headers) out += literal(name, value);
  return out;
}

inline std::string preface() {
  return std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + frame(kSettings, 0, 0, "");
}

// Frames that the server sent, in order.
struct SentFrame {
  uint8_t type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;
};

class RawPeer {
 public:
  explicit RawPeer(grpc::ConnectionOptions options = {}) : server(options, &front) {
    REQUIRE(send(preface() + frame(kSettings, kAck, 0, "")));
    read();
  }

  // False when the server gave the connection up.
  bool send(std::string_view bytes) { return server.receive(as_bytes(bytes), now).ok(); }

  // Everything that the server has to send.
  std::vector<SentFrame> read() {
    Buffer out;
    while (server.produce(&out, 1 << 20)) {
    }
    std::vector<SentFrame> frames;
    std::string_view left = as_text(out.bytes());
    while (left.size() >= 9) {
      auto byte = [&left](size_t i) { return static_cast<uint8_t>(left[i]); };
      const size_t size = size_t{byte(0)} << 16 | size_t{byte(1)} << 8 | byte(2);
      const uint32_t stream =
          uint32_t{byte(5)} << 24 | uint32_t{byte(6)} << 16 | uint32_t{byte(7)} << 8 | byte(8);
      frames.push_back({byte(3), byte(4), stream, std::string(left.substr(9, size))});
      left.remove_prefix(9 + size);
    }
    return frames;
  }

  // The error code of the GOAWAY among what the server has to send; -1 without one.
  int64_t read_goaway() {
    for (const SentFrame& sent : read()) {
      if (sent.type == kGoaway) return code_at(sent.payload, 4);
    }
    return -1;
  }
  // The error code of RST_STREAM for `stream`; -1 without one.
  int64_t read_reset(uint32_t stream) {
    for (const SentFrame& sent : read()) {
      if (sent.type == kRstStream && sent.stream == stream) return code_at(sent.payload, 0);
    }
    return -1;
  }

  RecordingFront front;
  grpc::ServerConnection server;
  Nanos now = kSecond;

 private:
  static int64_t code_at(const std::string& payload, size_t at) {
    uint32_t code = 0;
    for (size_t i = 0; i < 4; ++i) code = code << 8 | static_cast<uint8_t>(payload[at + i]);
    return code;
  }
};

}  // namespace fastserve::transport_test
