#include "fastserve/grpc/message_reader.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/session_client.h"

namespace fastserve::grpc {
namespace {

using fastserve::transport_test::grpc_frame;

}  // namespace

TEST_CASE("messages are the same for every size of piece") {
  const std::string bytes =
      grpc_frame("") + grpc_frame("a") + grpc_frame(std::string(1000, 'b'), 1) + grpc_frame("");
  for (size_t step = 1; step <= bytes.size(); ++step) {
    MessageReader reader;
    std::vector<std::string> messages;
    for (size_t at = 0; at < bytes.size(); at += step) {
      ByteSpan piece = as_bytes(std::string_view(bytes).substr(at, step));
      while (!piece.empty()) {
        bool complete = false;
        REQUIRE(reader.feed(&piece, 1000, &complete).ok());
        if (!complete) continue;
        messages.emplace_back(as_text(reader.message().bytes()));
        CHECK(reader.is_compressed() == (messages.size() == 3));
        CHECK(reinterpret_cast<uintptr_t>(reader.message().data() + reader.message().size()) % 16 ==
              0);
        reader.next(100);
        CHECK(!reader.is_mid_message());
      }
    }
    CHECK(messages == std::vector<std::string>{"", "a", std::string(1000, 'b'), ""});
  }
}

TEST_CASE("a declared length is not trusted with memory") {
  MessageReader reader;
  const std::string prefix("\0\x40\0\0\0", 5);
  ByteSpan piece = as_bytes(prefix);
  bool complete = true;
  CHECK(reader.feed(&piece, SIZE_MAX, &complete).ok());
  CHECK(!complete);
  CHECK(reader.is_mid_message());
  CHECK(reader.buffered_bytes() == 0);
  CHECK(reader.message().capacity() <= 64 * 1024 + 16);
}

TEST_CASE("a whole message that is not consumed stays as it is") {
  MessageReader reader;
  const std::string bytes = grpc_frame("one") + grpc_frame("two");
  ByteSpan piece = as_bytes(bytes);
  bool complete = false;
  REQUIRE(reader.feed(&piece, 100, &complete).ok());
  CHECK(complete);
  CHECK(piece.size() == 8);
  CHECK(as_text(reader.message().bytes()) == "one");
}

TEST_CASE("lengths over the limit and unknown flags are errors") {
  for (const auto& [bytes, code] :
       {std::pair{grpc_frame("abc"), Code::kResourceExhausted},
        std::pair{grpc_frame("", 2), Code::kInternal},
        std::pair{std::string("\0\xff\xff\xff\xff", 5), Code::kResourceExhausted}}) {
    MessageReader reader;
    ByteSpan piece = as_bytes(bytes);
    bool complete = false;
    CHECK(reader.feed(&piece, 2, &complete).code() == code);
  }
}

}  // namespace fastserve::grpc
