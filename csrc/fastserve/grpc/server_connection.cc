#include "fastserve/grpc/server_connection.h"

#include <string>
#include <utility>
#include <vector>

#include "fastserve/grpc/server_call.h"

namespace fastserve::grpc {
namespace {

// Read memory that a call in flight keeps between messages of a stream.
constexpr size_t kKeptReadBytes = 64 * 1024;

}  // namespace

class ServerConnection::Impl final : public http2::Handler {
 public:
  Impl(const ConnectionOptions& options, Front* front)
      : options_(options), front_(front), connection_(options.http2, this) {}

  http2::Connection& http2() { return connection_; }
  const http2::Connection& http2() const { return connection_; }
  void set_peer(std::string peer) { peer_ = std::move(peer); }
  size_t open_calls() const { return open_calls_; }
  void reset_stalled_calls() {
    for (const auto& call : calls_) {
      if (call->check_stalled()) call->reset();
    }
  }

  // http2::Handler.
  void on_request(http2::Stream& stream) override;
  void on_data(http2::Stream& stream, ByteSpan data) override;
  void on_end(http2::Stream& stream) override;
  void on_closed(http2::Stream& stream, uint32_t error_code) override;
  void on_writable(http2::Stream& stream) override;

 private:
  static ServerCall& call_of(http2::Stream& stream) {
    return *static_cast<ServerCall*>(stream.user);
  }
  ServerCall* take_call();
  // Ends a call over a fault of the peer; the front, if it knows the call, hears on_closed first.
  void refuse(ServerCall& call, const Status& status);
  void withdraw(ServerCall& call, bool cancelled);
  Status deliver(ServerCall& call);
  Status check_assembling(ServerCall& call);
  void forget_assembling(ServerCall& call);

  const ConnectionOptions options_;
  Front* const front_;
  MetadataDecoder decoder_;
  std::string peer_;
  bool has_announced_encodings_ = false;
  std::vector<std::unique_ptr<ServerCall>> calls_;
  std::vector<ServerCall*> free_calls_;
  size_t open_calls_ = 0;
  size_t assembling_bytes_ = 0;  // of unfinished messages, all calls
  Buffer inflated_;
  // Last: its destructor closes the calls.
  http2::Connection connection_;
};

ServerCall* ServerConnection::Impl::take_call() {
  if (free_calls_.empty()) {
    calls_.push_back(
        std::make_unique<ServerCall>(&connection_, &decoder_, &peer_, &has_announced_encodings_));
    free_calls_.push_back(calls_.back().get());
  }
  ServerCall* call = free_calls_.back();
  free_calls_.pop_back();
  return call;
}

void ServerConnection::Impl::on_request(http2::Stream& stream) {
  RequestHeaders headers;
  const Status status = read_request_headers(stream.headers(), &headers);
  ServerCall* call = take_call();
  stream.user = call;
  stream.patience_ns = headers.timeout;
  call->open(&stream, headers, connection_.now());
  if (!headers.is_grpc) {
    call->refuse_media_type();
  } else if (!status.ok()) {
    refuse(*call, status);
  } else {
    call->is_surfaced = true;
    ++open_calls_;
    front_->on_call(*call);
  }
}

void ServerConnection::Impl::on_data(http2::Stream& stream, ByteSpan data) {
  ServerCall& call = call_of(stream);
  MessageReader& reader = call.reader();
  while (!data.empty() && !call.is_finished()) {
    const size_t before = data.size();
    bool is_whole = false;
    Status status = reader.feed(&data, options_.max_message_bytes, &is_whole);
    call.on_wire_bytes(before - data.size());
    if (status.ok()) status = is_whole ? deliver(call) : check_assembling(call);
    if (!status.ok()) refuse(call, status);
  }
  call.on_wire_bytes(data.size());
  call.return_window();
}

Status ServerConnection::Impl::deliver(ServerCall& call) {
  forget_assembling(call);
  MessageReader& reader = call.reader();
  Buffer* message = &reader.message();
  if (reader.is_compressed()) {
    if (call.encoding() == Encoding::kIdentity) {
      return {Code::kInternal,
              "message has its compressed flag set, but no grpc-encoding was sent"};
    }
    const Status status =
        inflate_message(message->bytes(), call.encoding(), options_.max_message_bytes, &inflated_);
    if (!status.ok()) return status;
    message = &inflated_;
  }
  const size_t bytes = message->size();
  call.on_message_handed(bytes);
  front_->on_message(call, *message);
  if (message == &inflated_) inflated_.shrink(kKeptReadBytes);
  reader.next(kKeptReadBytes);
  return ok_status();
}

Status ServerConnection::Impl::check_assembling(ServerCall& call) {
  assembling_bytes_ -= call.assembling_bytes;
  call.assembling_bytes = call.reader().buffered_bytes();
  const size_t others = assembling_bytes_;
  assembling_bytes_ += call.assembling_bytes;
  // One message alone is bounded by its own limit.
  if (others == 0 || assembling_bytes_ <= options_.max_assembling_bytes) return ok_status();
  return {Code::kResourceExhausted,
          "the connection holds " + std::to_string(assembling_bytes_) +
              " bytes of unfinished messages, more than the limit of " +
              std::to_string(options_.max_assembling_bytes) +
              "; send fewer large messages at once or use more connections"};
}

void ServerConnection::Impl::forget_assembling(ServerCall& call) {
  assembling_bytes_ -= call.assembling_bytes;
  call.assembling_bytes = 0;
}

void ServerConnection::Impl::refuse(ServerCall& call, const Status& status) {
  withdraw(call, true);
  forget_assembling(call);
  call.reader().reset();
  call.finish(status);
}

void ServerConnection::Impl::withdraw(ServerCall& call, bool cancelled) {
  if (!call.is_surfaced) return;
  call.is_surfaced = false;
  --open_calls_;
  front_->on_closed(call, cancelled);
}

void ServerConnection::Impl::on_end(http2::Stream& stream) {
  ServerCall& call = call_of(stream);
  if (call.is_finished()) return;
  if (call.reader().is_mid_message()) {
    refuse(call, {Code::kInternal, "the request ends inside a message"});
    return;
  }
  front_->on_half_close(call);
}

void ServerConnection::Impl::on_closed(http2::Stream& stream, uint32_t error_code) {
  ServerCall& call = call_of(stream);
  withdraw(call, error_code != http2::kNoError);
  forget_assembling(call);
  call.close();
  free_calls_.push_back(&call);
}

void ServerConnection::Impl::on_writable(http2::Stream& stream) {
  ServerCall& call = call_of(stream);
  if (call.is_surfaced) front_->on_writable(call);
}

ServerConnection::ServerConnection(const ConnectionOptions& options, Front* front)
    : impl_(std::make_unique<Impl>(options, front)) {}
ServerConnection::~ServerConnection() = default;

Status ServerConnection::receive(ByteSpan bytes, Nanos now) {
  return impl_->http2().receive(bytes, now);
}
bool ServerConnection::produce(Buffer* out, size_t limit_bytes) {
  return impl_->http2().produce(out, limit_bytes);
}
void ServerConnection::set_peer(std::string peer) { impl_->set_peer(std::move(peer)); }
void ServerConnection::set_on_dirty(void (*on_dirty)(void* owner), void* owner) {
  impl_->http2().set_on_dirty(on_dirty, owner);
}
void ServerConnection::reset_stalled_calls() { impl_->reset_stalled_calls(); }
bool ServerConnection::wants_write() const { return impl_->http2().wants_write(); }
void ServerConnection::start_drain() { impl_->http2().start_drain(); }
void ServerConnection::finish_drain() { impl_->http2().finish_drain(); }
bool ServerConnection::is_finished() const { return impl_->http2().is_finished(); }
size_t ServerConnection::open_calls() const { return impl_->open_calls(); }

}  // namespace fastserve::grpc
