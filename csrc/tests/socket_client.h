// A gRPC client for tests of the transport: a libnghttp2 client session over a blocking socket.
// What arrives is processed only inside pump(), so a test decides when the client reads.
#pragma once

#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fastserve::net::testing {

struct Answer {
  std::map<std::string, std::string> headers;  // trailers too
  std::string body;
  bool is_closed = false;
  uint32_t error_code = 0;

  std::string status() const {
    const auto it = headers.find("grpc-status");
    return it == headers.end() ? "" : it->second;
  }
  // Messages without their prefixes.
  std::vector<std::string> messages() const {
    std::vector<std::string> found;
    for (size_t at = 0; at + 5 <= body.size();) {
      uint32_t size = 0;
      for (size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(body[at + i]);
      found.push_back(body.substr(at + 5, size));
      at += 5 + size;
    }
    return found;
  }
};

inline std::string frame_message(const std::string& message) {
  std::string framed(5, '\0');
  for (size_t i = 0; i < 4; ++i) {
    framed[1 + i] = static_cast<char>(message.size() >> (24 - 8 * i));
  }
  return framed + message;
}

inline int connect_tcp(uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return descriptor;
  }
  close(descriptor);
  return -1;
}

inline int connect_unix(const std::string& path) {
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return descriptor;
  }
  close(descriptor);
  return -1;
}

class SocketClient {
 public:
  // Takes over `descriptor`; `ssl` is null or connected over it, and taken over too.
  explicit SocketClient(int descriptor, SSL* ssl = nullptr, int32_t window_bytes = 1 << 24)
      : descriptor_(descriptor), ssl_(ssl) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
           const uint8_t* value, size_t value_size, uint8_t, void* self) {
          auto& answer = static_cast<SocketClient*>(self)->answers_[frame->hd.stream_id];
          answer.headers[{reinterpret_cast<const char*>(name), name_size}] = {
              reinterpret_cast<const char*>(value), value_size};
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* self) {
          static_cast<SocketClient*>(self)->answers_[id].body.append(
              reinterpret_cast<const char*>(data), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t error_code, void* self) {
          auto& answer = static_cast<SocketClient*>(self)->answers_[id];
          answer.is_closed = true;
          answer.error_code = error_code;
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
          if (frame->hd.type == NGHTTP2_GOAWAY) {
            static_cast<SocketClient*>(self)->goaways_.push_back(frame->goaway.last_stream_id);
          }
          return 0;
        });
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                        static_cast<uint32_t>(window_bytes)};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &window, 1);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 1 << 30);
  }
  ~SocketClient() {
    nghttp2_session_del(session_);
    if (ssl_ != nullptr) SSL_free(ssl_);
    if (descriptor_ >= 0) close(descriptor_);
  }
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;

  // Queues a call; write() or pump() sends it. `ends`: half-closes after `body`.
  int32_t call(const std::string& path, std::string body, bool ends = true,
               const std::string& timeout = "",
               const std::vector<std::pair<std::string, std::string>>& metadata = {}) {
    const auto field = [](const char* name, const std::string& value) {
      return nghttp2_nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name)),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
                        std::strlen(name), value.size(), NGHTTP2_NV_FLAG_NONE};
    };
    const std::string post = "POST", http = "http", host = "test", te = "trailers",
                      type = "application/grpc";
    std::vector<nghttp2_nv> headers = {field(":method", post),      field(":scheme", http),
                                       field(":path", path),        field(":authority", host),
                                       field("content-type", type), field("te", te)};
    if (!timeout.empty()) headers.push_back(field("grpc-timeout", timeout));
    for (const auto& [name, value] : metadata) headers.push_back(field(name.c_str(), value));
    auto upload = std::make_unique<Upload>(Upload{std::move(body), 0, ends});
    nghttp2_data_provider provider{{.ptr = upload.get()}, read_upload};
    const int32_t id = nghttp2_submit_request(session_, nullptr, headers.data(), headers.size(),
                                              &provider, nullptr);
    if (id > 0) uploads_[id] = std::move(upload);
    return id;
  }
  // More of a call that was begun without `ends`.
  void send(int32_t id, const std::string& body, bool ends = false) {
    Upload& upload = *uploads_[id];
    upload.body.append(body);
    upload.ends = ends;
    nghttp2_session_resume_data(session_, id);
  }
  void reset(int32_t id) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }

  // Sends what is queued. False when the connection is gone.
  bool write() {
    while (true) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size < 0) return false;
      if (size == 0) return true;
      for (ssize_t sent = 0; sent < size;) {
        const ssize_t n =
            ssl_ != nullptr
                ? SSL_write(ssl_, data + sent, static_cast<int>(size - sent))
                : ::send(descriptor_, data + sent, static_cast<size_t>(size - sent), MSG_NOSIGNAL);
        if (n <= 0) return false;
        sent += n;
      }
    }
  }

  // Writes and reads until `is_done`. False when the connection ended first or `seconds` went by.
  bool pump(const std::function<bool()>& is_done, int seconds = 20) {
    std::vector<uint8_t> bytes(64 * 1024);
    while (!is_done()) {
      if (!write()) is_broken_ = true;
      if (is_broken_) return is_done();
      if (ssl_ == nullptr || SSL_pending(ssl_) == 0) {
        pollfd ready{descriptor_, POLLIN, 0};
        if (poll(&ready, 1, seconds * 1000) <= 0) return false;
      }
      const ssize_t n = ssl_ != nullptr
                            ? SSL_read(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                            : recv(descriptor_, bytes.data(), bytes.size(), 0);
      if (n <= 0 || nghttp2_session_mem_recv(session_, bytes.data(), static_cast<size_t>(n)) < 0) {
        is_broken_ = true;
      }
    }
    return true;
  }
  bool pump_until_closed(int32_t id) {
    return pump([this, id] { return answers_[id].is_closed; });
  }
  // The server closed the connection.
  bool pump_until_end(int seconds = 20) {
    pump([] { return false; }, seconds);
    return is_broken_;
  }

  // A unary call from start to end.
  const Answer& unary(const std::string& path, const std::string& message,
                      const std::string& timeout = "") {
    const int32_t id = call(path, frame_message(message), true, timeout);
    pump_until_closed(id);
    return answers_[id];
  }

  Answer& answer(int32_t id) { return answers_[id]; }
  const std::vector<int32_t>& goaways() const { return goaways_; }
  int descriptor() const { return descriptor_; }

 private:
  struct Upload {
    std::string body;
    size_t sent;
    bool ends;
  };

  static ssize_t read_upload(nghttp2_session*, int32_t, uint8_t* to, size_t size, uint32_t* flags,
                             nghttp2_data_source* source, void*) {
    auto& upload = *static_cast<Upload*>(source->ptr);
    const size_t bytes = std::min(size, upload.body.size() - upload.sent);
    std::memcpy(to, upload.body.data() + upload.sent, bytes);
    upload.sent += bytes;
    if (upload.sent == upload.body.size() && upload.ends) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (bytes == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(bytes);
  }

  int descriptor_;
  SSL* ssl_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::unique_ptr<Upload>> uploads_;
  std::map<int32_t, Answer> answers_;
  std::vector<int32_t> goaways_;
  bool is_broken_ = false;
};

}  // namespace fastserve::net::testing
