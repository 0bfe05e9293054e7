// What one unary call costs on the server side of a connection, without sockets: receive(), the
// front's on_message, send_message, finish and produce().
//
//   connection_bench [CALLS [MESSAGE_BYTES [IN_FLIGHT]]]
//
// A libnghttp2 client session makes the requests in the same thread, as h2load does (the same
// headers each time); only the server's half of each exchange is timed. For instruction counts:
//   valgrind --tool=callgrind --toggle-collect='*ServerConnection::receive*'
//     --toggle-collect='*ServerConnection::produce*' connection_bench 20000
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/grpc/server_connection.h"

namespace fastserve {
namespace {

constexpr size_t kReplyBytes = 90;

// Echoes nothing but answers every message at once, as a front with a fast model would; replies
// reuse no memory, as in production.
class AnsweringFront final : public grpc::Front {
 public:
  void on_call(grpc::Call&) override {}
  void on_message(grpc::Call& call, Buffer&) override {
    Buffer reply;
    std::memset(reply.extend(grpc::kMessageHeadroom + kReplyBytes), 'r',
                grpc::kMessageHeadroom + kReplyBytes);
    call.send_message(std::move(reply));
    call.finish(ok_status());
  }
  void on_half_close(grpc::Call&) override {}
  void on_writable(grpc::Call&) override {}
  void on_closed(grpc::Call&, bool cancelled) override { answered += !cancelled; }

  size_t answered = 0;
};

class BenchClient {
 public:
  explicit BenchClient(size_t message_bytes) : body_(grpc::kMessageHeadroom + message_bytes, 'm') {
    body_[0] = 0;
    for (int i = 0; i < 4; ++i) body_[1 + i] = static_cast<char>(message_bytes >> (24 - 8 * i));
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t, uint32_t, void* user) {
          ++static_cast<BenchClient*>(user)->closed;
          return 0;
        });
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}};
    nghttp2_submit_settings(session_, 0, settings, 1);
    nghttp2_session_set_local_window_size(session_, 0, 0, 1 << 30);
  }
  ~BenchClient() { nghttp2_session_del(session_); }

  void open_call() {
    auto field = [](const char* name, const char* value) {
      return nghttp2_nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name)),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value)), std::strlen(name),
                        std::strlen(value), 0};
    };
    const nghttp2_nv fields[] = {field(":method", "POST"),
                                 field(":scheme", "http"),
                                 field(":path", "/inference.GRPCInferenceService/ModelInfer"),
                                 field(":authority", "127.0.0.1:8001"),
                                 field("te", "trailers"),
                                 field("content-type", "application/grpc"),
                                 field("user-agent", "h2load nghttp2/1.52.0")};
    auto* state = new Body{&body_, 0};
    nghttp2_data_provider body{{.ptr = state}, read_body};
    nghttp2_submit_request(session_, nullptr, fields, std::size(fields), &body, nullptr);
  }
  void take_output(std::string* out) {
    out->clear();
    const uint8_t* data = nullptr;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &data)) > 0;) {
      out->append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    }
  }
  void feed(ByteSpan bytes) {
    nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()),
                             bytes.size());
  }

  size_t closed = 0;

 private:
  struct Body {
    const std::string* bytes;
    size_t offset;
  };
  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t* out, size_t length, uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    auto* body = static_cast<Body*>(source->ptr);
    const size_t size = std::min(length, body->bytes->size() - body->offset);
    std::memcpy(out, body->bytes->data() + body->offset, size);
    body->offset += size;
    if (body->offset == body->bytes->size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      delete body;
    }
    return static_cast<ssize_t>(size);
  }

  std::string body_;
  nghttp2_session* session_ = nullptr;
};

int run(size_t calls, size_t message_bytes, size_t in_flight) {
  AnsweringFront front;
  grpc::ServerConnection server({}, &front);
  BenchClient client(message_bytes);
  std::string to_server;
  Buffer to_client;
  Nanos server_ns = 0;
  size_t opened = 0;
  std::vector<double> per_call;
  while (client.closed < calls) {
    const size_t before = front.answered;
    while (opened < calls && opened - client.closed < in_flight) {
      client.open_call();
      ++opened;
    }
    client.take_output(&to_server);
    const Nanos start = monotonic_now();
    if (!server.receive(as_bytes(to_server), start).ok()) return 1;
    to_client.clear();
    while (server.produce(&to_client, 256 * 1024)) {
    }
    const Nanos took = monotonic_now() - start;
    server_ns += took;
    if (front.answered > before) {
      per_call.push_back(static_cast<double>(took) / static_cast<double>(front.answered - before));
    }
    client.feed(to_client.bytes());
  }
  std::nth_element(per_call.begin(), per_call.begin() + per_call.size() / 2, per_call.end());
  std::printf("%zu calls of %zu bytes, %zu in flight: %.0f ns per call (median of rounds %.0f)\n",
              calls, message_bytes, in_flight,
              static_cast<double>(server_ns) / static_cast<double>(calls),
              per_call[per_call.size() / 2]);
  return 0;
}

}  // namespace
}  // namespace fastserve

int main(int argc, char** argv) {
  auto number = [&](int index, size_t otherwise) {
    return argc > index ? std::strtoull(argv[index], nullptr, 10) : otherwise;
  };
  return fastserve::run(number(1, 200'000), number(2, 150), number(3, 64));
}
