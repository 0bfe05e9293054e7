// A connection that is told anything: HTTP/2, gRPC framing and the decoder of ModelInferRequest in
// one process. The input is a program of steps: raw bytes, frames with chosen headers, pieces of
// what a real client says, time, answers, drain. Whatever it does, every call that the front saw is
// closed once, messages end aligned, and a failed connection stays failed.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/grpc/server_connection.h"
#include "fastserve/wire/infer_request.h"
#include "steps.h"

namespace {

using namespace fastserve;
using fuzz::Steps;

void require(bool holds) {
  if (!holds) std::abort();
}

// What a real client sends, one piece for each call, in the order that its header table needs.
std::vector<std::string>* client_pieces = nullptr;

std::string take_output(nghttp2_session* session) {
  std::string out;
  const uint8_t* data = nullptr;
  for (ssize_t size; (size = nghttp2_session_mem_send(session, &data)) > 0;) {
    out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  }
  return out;
}

nghttp2_nv field(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          0};
}

// ModelInferRequest{model_name: "m", inputs: [{name: "x", datatype: "FP32", shape: [1]}], raw: 4}.
std::string infer_message() {
  const std::string tensor(
      "\x0a\x01x\x12\x04"
      "FP32\x1a\x01\x01",
      12);
  return std::string("\x0a\x01m\x2a", 4) + static_cast<char>(tensor.size()) + tensor +
         std::string("\x3a\x04\0\0\x80\x3f", 6);
}

std::string grpc_frame(std::string_view message) {
  std::string out("\0\0\0\0", 4);
  out += static_cast<char>(message.size());
  out += message;
  return out;
}

void add_call(nghttp2_session* session, const std::vector<nghttp2_nv>& extra, std::string body) {
  std::vector<nghttp2_nv> fields = {
      field(":method", "POST"),
      field(":scheme", "http"),
      field(":path", "/inference.GRPCInferenceService/ModelInfer"),
      field(":authority", "localhost"),
      field("te", "trailers"),
      field("content-type", "application/grpc"),
  };
  fields.insert(fields.end(), extra.begin(), extra.end());
  struct Body {
    std::string bytes;
    size_t offset = 0;
  } source{std::move(body), 0};
  nghttp2_data_provider provider{{.ptr = &source},
                                 [](nghttp2_session*, int32_t, uint8_t* out, size_t length,
                                    uint32_t* flags, nghttp2_data_source* from, void*) -> ssize_t {
                                   auto* left = static_cast<Body*>(from->ptr);
                                   const size_t size =
                                       std::min(length, left->bytes.size() - left->offset);
                                   std::memcpy(out, left->bytes.data() + left->offset, size);
                                   left->offset += size;
                                   if (left->offset == left->bytes.size())
                                     *flags |= NGHTTP2_DATA_FLAG_EOF;
                                   return static_cast<ssize_t>(size);
                                 }};
  nghttp2_submit_request(session, nullptr, fields.data(), fields.size(), &provider, nullptr);
  client_pieces->push_back(take_output(session));
}

void make_client_pieces() {
  client_pieces = new std::vector<std::string>();
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, callbacks, nullptr);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session, 0, nullptr, 0);
  client_pieces->push_back(take_output(session));
  const std::string message = grpc_frame(infer_message());
  add_call(session, {}, message);
  add_call(session, {field("grpc-timeout", "50m"), field("grpc-accept-encoding", "gzip")}, message);
  add_call(session, {field("x-data-bin", "AAEC,AA=="), field("user-agent", "fuzz")},
           message + message + message);
  add_call(session, {field("grpc-encoding", "gzip")}, grpc_frame(""));
  nghttp2_submit_ping(session, 0, nullptr);
  nghttp2_submit_rst_stream(session, 0, 5, NGHTTP2_CANCEL);
  client_pieces->push_back(take_output(session));
  for (int i = 0; i < 4; ++i) add_call(session, {}, message);
  nghttp2_session_del(session);
}

// Decodes each message; answers at once, later, or never, as the program says.
class FuzzFront final : public grpc::Front {
 public:
  void on_call(grpc::Call& call) override {
    calls.push_back(&call);
    (void)call.metadata();
    call.set_compression(true);
    call.hold_messages(hold);
  }
  void on_message(grpc::Call& call, Buffer& message) override {
    require(is_open(call));
    require(reinterpret_cast<uintptr_t>(message.data() + message.size()) % 16 == 0);
    const Status status = wire::parse_infer_request(message.bytes(), {}, &view_);
    if (reply) answer(call, status);
  }
  void on_half_close(grpc::Call& call) override {
    require(is_open(call));
    if (reply) call.finish(ok_status());
  }
  void on_writable(grpc::Call& call) override { require(is_open(call)); }
  void on_closed(grpc::Call& call, bool) override {
    require(is_open(call));
    calls.erase(std::find(calls.begin(), calls.end(), &call));
  }

  void answer(grpc::Call& call, const Status& status) {
    if (!status.ok()) {
      call.finish(status);
      return;
    }
    Buffer reply_bytes;
    std::memset(reply_bytes.extend(grpc::kMessageHeadroom + reply_size), 'r',
                grpc::kMessageHeadroom + reply_size);
    call.send_message(std::move(reply_bytes));
  }

  std::vector<grpc::Call*> calls;
  bool reply = true;
  bool hold = false;
  size_t reply_size = 10;

 private:
  bool is_open(grpc::Call& call) const {
    return std::find(calls.begin(), calls.end(), &call) != calls.end();
  }
  wire::InferRequestView view_;
};

std::string frame(Steps& steps) {
  const uint8_t type = steps.next() % 12;
  const uint8_t flags = steps.next();
  const uint8_t stream = steps.next() % 24;
  const std::string_view payload = steps.bytes(steps.next());
  std::string out("\0\0", 2);
  out += static_cast<char>(payload.size());
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += std::string("\0\0\0", 3);
  out += static_cast<char>(stream);
  out += payload;
  return out;
}

void act(FuzzFront& front, Steps& steps) {
  const uint8_t what = steps.next();
  front.reply = (what & 1) != 0;
  front.hold = (what & 2) != 0;
  front.reply_size = size_t{steps.next()} * steps.next();
  if (front.calls.empty()) return;
  grpc::Call& call = *front.calls[what % front.calls.size()];
  switch (what >> 5) {
    case 0:
      call.finish(ok_status());
      break;
    case 1:
      call.finish({Code::kInternal, std::string(steps.bytes(20))});
      break;
    case 2:
      call.credit(steps.next());
      break;
    case 3:
      call.hold_messages(front.hold);
      break;
    default:
      front.answer(call, ok_status());
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  make_client_pieces();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Steps steps(data, size);
  FuzzFront front;
  {
    grpc::ConnectionOptions options;
    const uint8_t shape = steps.next();
    options.max_message_bytes = 4096;
    options.max_assembling_bytes = 8192;
    options.http2.max_concurrent_streams = 4 + (shape & 15);
    options.http2.glitch_burst = (shape & 16) ? 3 : 1000;
    options.http2.stream_window_bytes = (shape & 32) ? 65'535 : 4096;
    options.http2.max_header_bytes = (shape & 64) ? 16 * 1024 : 512;
    grpc::ServerConnection server(options, &front);
    Nanos now = kSecond;
    size_t piece = 0;
    Buffer out;
    bool failed = false;
    auto feed = [&](std::string_view bytes) {
      const bool ok = server.receive(as_bytes(bytes), now).ok();
      require(!(failed && ok));
      failed = !ok;
      if (failed) require(server.open_calls() == 0);
    };
    if (shape & 128) feed((*client_pieces)[piece++]);
    while (!steps.empty()) {
      switch (steps.next() & 7) {
        case 0:
          feed(steps.bytes(steps.next()));
          break;
        case 1:
        case 2:
          feed(frame(steps));
          break;
        case 3:
          if (piece < client_pieces->size()) feed((*client_pieces)[piece++]);
          break;
        case 4:
          out.clear();
          server.produce(&out, size_t{steps.next()} * 64 + 1);
          break;
        case 5:
          now += int64_t{steps.next()} * 10 * kMillisecond;
          break;
        case 6:
          act(front, steps);
          break;
        case 7:
          if (steps.next() & 1) {
            server.start_drain();
          } else {
            server.finish_drain();
          }
          break;
      }
      require(server.open_calls() == front.calls.size());
    }
    for (int i = 0; i < 100 && server.produce(&out, 4096); ++i) out.clear();
    if (server.is_finished()) require(front.calls.empty());
  }
  require(front.calls.empty());
  return 0;
}
