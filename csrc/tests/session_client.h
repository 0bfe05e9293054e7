// The other end of a connection under test: a real nghttp2 client session that talks to a
// ServerConnection in the same thread, and keeps what it saw.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fastserve/grpc/server_connection.h"

namespace fastserve::transport_test {

using Headers = std::vector<std::pair<std::string, std::string>>;

inline std::string grpc_frame(std::string_view message, uint8_t flag = 0) {
  const auto size = static_cast<uint32_t>(message.size());
  std::string frame;
  frame += static_cast<char>(flag);
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(size >> shift & 0xff);
  frame += message;
  return frame;
}

inline Buffer framed(std::string_view message) {
  Buffer buffer;
  buffer.extend(grpc::kMessageHeadroom);
  buffer.append(as_bytes(message));
  return buffer;
}

inline Headers grpc_headers(std::string path = "/test.Service/Echo") {
  return {{":method", "POST"},         {":scheme", "http"}, {":path", std::move(path)},
          {":authority", "localhost"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
}

// One answer as it arrived.
struct Answer {
  Headers headers;
  std::string body;
  Headers trailers;
  int header_blocks = 0;
  bool ended = false;  // END_STREAM seen
  bool closed = false;
  uint32_t error_code = 0;  // of RST_STREAM or of the library; 0 when closed in order
  int data_frames = 0;
  int empty_data_frames = 0;

  std::string field(std::string_view name) const {
    for (const auto* list : {&trailers, &headers}) {
      for (const auto& [key, value] : *list) {
        if (key == name) return value;
      }
    }
    return "<absent>";
  }
};

class SessionClient {
 public:
  explicit SessionClient(grpc::ServerConnection* server, uint32_t window_bytes = 1 << 20)
      : server_(server) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&session, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window_bytes}};
    nghttp2_submit_settings(session, 0, settings, 1);
    if (window_bytes > 65535) {
      nghttp2_session_set_local_window_size(session, 0, 0, static_cast<int32_t>(window_bytes));
    }
  }
  ~SessionClient() { nghttp2_session_del(session); }
  SessionClient(const SessionClient&) = delete;
  SessionClient& operator=(const SessionClient&) = delete;

  // Opens a call; its body is what write() queues, until half_close().
  int32_t open(const Headers& headers, bool end = false) {
    std::vector<nghttp2_nv> fields;
    for (const auto& [name, value] : headers) {
      fields.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                        value.size(), 0});
    }
    nghttp2_data_provider body{{.ptr = this}, read_body};
    const int32_t id = nghttp2_submit_request(session, nullptr, fields.data(), fields.size(),
                                              end ? nullptr : &body, nullptr);
    return id;
  }
  void write(int32_t id, std::string_view bytes) {
    bodies_[id].bytes += bytes;
    nghttp2_session_resume_data(session, id);
  }
  void half_close(int32_t id) {
    bodies_[id].ended = true;
    nghttp2_session_resume_data(session, id);
  }
  int32_t call(std::string_view message, const Headers& headers = grpc_headers()) {
    const int32_t id = open(headers);
    write(id, grpc_frame(message));
    half_close(id);
    return id;
  }
  void cancel(int32_t id, uint32_t code = NGHTTP2_CANCEL) {
    nghttp2_submit_rst_stream(session, 0, id, code);
  }

  // What this end wants to send now.
  std::string take_output() {
    std::string out;
    for (;;) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session, &data);
      if (size <= 0) return out;
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    }
  }
  // Both directions until nothing moves. False when the server gave up the connection.
  bool pump(Nanos now = 0) {
    bool alive = true;
    for (;;) {
      const std::string to_server = take_output();
      if (!to_server.empty()) alive = server_->receive(as_bytes(to_server), now).ok() && alive;
      const size_t got = read_server();
      if (to_server.empty() && got == 0) return alive;
    }
  }
  // Lets the server write, and reads that. Returns how many bytes there were.
  size_t read_server(size_t limit = SIZE_MAX / 2) {
    Buffer out;
    server_->produce(&out, limit);
    feed(out.bytes());
    return out.size();
  }
  void feed(ByteSpan bytes) {
    nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }

  Answer& answer(int32_t id) { return answers_[id]; }
  bool got_goaway() const { return !goaway_codes.empty(); }

  nghttp2_session* session = nullptr;
  std::vector<uint32_t> goaway_codes;
  std::vector<int32_t> goaway_last_ids;
  // While false, nothing received is returned to the server's windows.
  bool reads = true;

 private:
  struct Body {
    std::string bytes;
    size_t offset = 0;
    bool ended = false;
  };
  static SessionClient& self(void* user) { return *static_cast<SessionClient*>(user); }

  static ssize_t read_body(nghttp2_session*, int32_t id, uint8_t* out, size_t length,
                           uint32_t* flags, nghttp2_data_source* source, void*) {
    Body& body = static_cast<SessionClient*>(source->ptr)->bodies_[id];
    const size_t size = std::min(length, body.bytes.size() - body.offset);
    std::memcpy(out, body.bytes.data() + body.offset, size);
    body.offset += size;
    const bool drained = body.offset == body.bytes.size();
    if (drained && body.ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (size == 0 && !body.ended) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(size);
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                       size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                       void* user) {
    Answer& answer = self(user).answers_[frame->hd.stream_id];
    auto& list = answer.header_blocks == 0 ? answer.headers : answer.trailers;
    list.emplace_back(std::string(reinterpret_cast<const char*>(name), name_size),
                      std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data,
                     size_t size, void* user) {
    self(user).answers_[id].body.append(reinterpret_cast<const char*>(data), size);
    if (self(user).reads) nghttp2_session_consume(session, id, size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    SessionClient& client = self(user);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      client.goaway_codes.push_back(frame->goaway.error_code);
      client.goaway_last_ids.push_back(frame->goaway.last_stream_id);
    }
    if (frame->hd.stream_id == 0) return 0;
    Answer& answer = client.answers_[frame->hd.stream_id];
    if (frame->hd.type == NGHTTP2_HEADERS) ++answer.header_blocks;
    if (frame->hd.type == NGHTTP2_DATA) {
      ++answer.data_frames;
      answer.empty_data_frames += frame->hd.length == 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
      answer.ended = answer.ended || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    }
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    Answer& answer = self(user).answers_[id];
    answer.closed = true;
    answer.error_code = error_code;
    self(user).bodies_.erase(id);
    return 0;
  }

  grpc::ServerConnection* server_;
  std::map<int32_t, Answer> answers_;
  std::map<int32_t, Body> bodies_;
};

// A front that keeps what it was told, and echoes when asked to.
class RecordingFront : public grpc::Front {
 public:
  struct Seen {
    std::string path;
    Nanos deadline = 0;
    std::vector<std::string> messages;
    bool half_closed = false;
    int closed = 0;
    bool cancelled = false;
    int writable = 0;
    bool aligned = true;
  };

  void on_call(grpc::Call& call) override {
    calls.push_back(&call);
    seen.emplace_back();
    seen.back().path = call.path();
    seen.back().deadline = call.deadline();
    call.user = reinterpret_cast<void*>(seen.size());
    if (when_called) when_called(call);
  }
  void on_message(grpc::Call& call, Buffer& message) override {
    Seen& mine = of(call);
    mine.messages.emplace_back(as_text(message.bytes()));
    const auto end = reinterpret_cast<uintptr_t>(message.data() + message.size());
    mine.aligned = mine.aligned && end % 16 == 0;
    if (when_message) when_message(call, message);
    if (echo) call.send_message(framed(as_text(message.bytes())));
  }
  void on_half_close(grpc::Call& call) override {
    of(call).half_closed = true;
    if (echo) call.finish(ok_status());
  }
  void on_writable(grpc::Call& call) override { ++of(call).writable; }
  void on_closed(grpc::Call& call, bool cancelled) override {
    ++of(call).closed;
    of(call).cancelled = cancelled;
    calls[reinterpret_cast<size_t>(call.user) - 1] = nullptr;
  }

  Seen& of(grpc::Call& call) { return seen[reinterpret_cast<size_t>(call.user) - 1]; }
  size_t closed_calls() const {
    size_t count = 0;
    for (const Seen& one : seen) count += static_cast<size_t>(one.closed);
    return count;
  }

  bool echo = false;
  std::function<void(grpc::Call&)> when_called;
  std::function<void(grpc::Call&, Buffer&)> when_message;
  std::vector<grpc::Call*> calls;  // null once closed
  std::vector<Seen> seen;
};

// A server connection, its front and a client, joined.
struct Joined {
  explicit Joined(grpc::ConnectionOptions options = {}, uint32_t client_window = 1 << 20)
      : server(options, &front), client(&server, client_window) {
    client.pump();
  }
  RecordingFront front;
  grpc::ServerConnection server;
  SessionClient client;
};

}  // namespace fastserve::transport_test
