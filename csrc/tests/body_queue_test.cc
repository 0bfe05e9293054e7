#include "fastserve/http2/body_queue.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace fastserve::http2 {
namespace {

Buffer buffer_of(std::string_view text) {
  Buffer buffer;
  buffer.append(as_bytes(text));
  return buffer;
}

}  // namespace

TEST_CASE("bytes leave in the order they came, whatever the pieces") {
  std::mt19937 random(7);
  BodyQueue queue;
  std::string in;
  Buffer out;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2 == 0) {
      std::string piece(random() % 50, static_cast<char>('a' + i % 26));
      in += piece;
      queue.push(buffer_of(piece));
    } else {
      queue.pop(random() % (queue.size() + 1), &out);
    }
    REQUIRE(queue.size() == in.size() - out.size());
  }
  queue.pop(queue.size(), &out);
  CHECK(queue.empty());
  CHECK(as_text(out.bytes()) == in);
}

TEST_CASE("an empty buffer adds nothing and clear() forgets everything") {
  BodyQueue queue;
  queue.push(Buffer());
  CHECK(queue.empty());
  queue.push(buffer_of("abc"));
  Buffer out;
  queue.pop(1, &out);
  queue.clear();
  CHECK(queue.empty());
  queue.push(buffer_of("xyz"));
  queue.pop(3, &out);
  CHECK(as_text(out.bytes()) == "axyz");
}

}  // namespace fastserve::http2
