#include "fastserve/net/connection.h"

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/socket_base.hpp>
#include <utility>

#include "fastserve/net/io_thread.h"

namespace fastserve::net {
namespace {

// Read buffers: an idle connection keeps the least; one that fills its buffer gets eight times more
// for the next read, up to what the socket's own buffer holds.
constexpr uint32_t kMinReadBytes = 1024;
constexpr uint32_t kMaxReadBytes = 256 * 1024;
constexpr uint32_t kReadGrowth = 8;
// So many reads that the next smaller buffer would have held, and the buffer shrinks.
constexpr uint32_t kSmallReads = 64;
// Per flush and connection; more waits for the next sweep.
constexpr size_t kProduceBytes = 256 * 1024;
constexpr int kWritesPerFlush = 4;
// What a peer may send while it takes none of the bytes that wait for it; then it is not read.
constexpr size_t kMaxUnansweredBytes = 1 << 20;
// The client's preface: 24 fixed bytes and a SETTINGS frame's header.
constexpr size_t kPrefaceBytes = 24 + 9;

}  // namespace

Connection::Connection(IoThread* loop, Socket socket, std::string peer,
                       std::shared_ptr<const TlsContext> tls)
    : loop_(loop), socket_(std::move(socket)), tls_context_(std::move(tls)) {
  if (tls_context_) tls_ = std::make_unique<TlsSession>(*tls_context_);
  grpc_.emplace(loop_->options().connection, loop_->front());
  grpc_->set_peer(std::move(peer));
  grpc_->set_on_dirty([](void* self) { static_cast<Connection*>(self)->touch(); }, this);
  timer_.set([](Timer&, void* self, Nanos now) { static_cast<Connection*>(self)->on_timer(now); },
             this);
  opened_by_ = loop_->now() + loop_->options().timeouts.opening;
  check_by(opened_by_);
  touch();  // our SETTINGS go out and reading starts with the first flush
}

Connection::~Connection() { loop_->timers().disarm(timer_); }

void Connection::touch() {
  if (is_touched_) return;
  is_touched_ = true;
  loop_->add_touched(this);
}

void Connection::on_read(const std::error_code& error, size_t bytes) {
  is_reading_ = false;
  touch();
  if (state_ == State::kClosed) return;
  if (error) {
    if (std::exchange(is_trimming_, false) && error == asio::error::operation_aborted) {
      last_read_bytes_ = read_capacity_ = 0;  // the next read starts with the least buffer
      return;
    }
    close();
    return;
  }
  is_trimming_ = false;
  last_read_bytes_ = static_cast<uint32_t>(bytes);
  last_read_at_ = loop_->read_clock();
  if (is_writing_) unanswered_bytes_ += bytes;
  if (state_ == State::kOpen) feed({read_buffer_.get(), bytes}, last_read_at_);
}

void Connection::feed(ByteSpan bytes, Nanos now) {
  Status tls_status;
  if (tls_) {
    Buffer& plain = loop_->plain_in();
    plain.clear();
    tls_status = tls_->decrypt(bytes, &plain);
    bytes = plain.bytes();
  }
  if (opened_by_ != kNever) {
    opening_bytes_ += bytes.size();
    if (opening_bytes_ >= kPrefaceBytes) opened_by_ = kNever;
  }
  if (!bytes.empty() && !grpc_->receive(bytes, now).ok()) begin_closing();
  if (tls_status.ok()) return;
  if (tls_status.code() == Code::kCancelled) {
    close();
  } else {
    begin_closing();  // the alert goes out
  }
}

bool Connection::flush() {
  is_touched_ = false;
  if (state_ == State::kOpen || state_ == State::kClosing) write_out();
  if (state_ != State::kClosed) move_on();
  if (state_ != State::kClosed) read_on();
  const size_t calls = grpc_ ? grpc_->open_calls() : 0;
  if (calls != counted_calls_) {
    loop_->count_calls(static_cast<int64_t>(calls) - static_cast<int64_t>(counted_calls_));
    counted_calls_ = calls;
  }
  if (calls == 0) {
    next_stall_check_ = kNever;
  } else if (next_stall_check_ == kNever) {
    next_stall_check_ = loop_->now() + loop_->options().timeouts.call_stall;
    check_by(next_stall_check_);
  }
  // Touched again (closed just now): the loop still holds it.
  return state_ != State::kClosed || is_reading_ || is_writing_ || is_touched_;
}

void Connection::write_out() {
  has_more_ = false;
  for (int round = 0; round < kWritesPerFlush && !is_writing_; ++round) {
    Buffer& out = loop_->out();
    out.clear();
    has_more_ = produce(&out) && !out.empty();
    if (out.empty()) return;
    if (!send(&out) || !has_more_) return;
  }
  if (has_more_ && !is_writing_) touch();
}

// Appends what may go to the socket now; true when more is ready.
bool Connection::produce(Buffer* out) {
  if (!tls_) return grpc_->produce(out, kProduceBytes);
  bool has_more = false;
  if (tls_->is_established()) {
    Buffer& plain = loop_->plain_out();
    plain.clear();
    has_more = grpc_->produce(&plain, kProduceBytes);
    if (!tls_->encrypt(plain.bytes()).ok()) begin_closing();
  }
  // The session keeps no memory for output while it has none.
  out->swap(tls_->output());
  tls_->output().shrink(0);
  return has_more;
}

// False when the socket took less than everything: the rest goes out when the peer reads.
bool Connection::send(Buffer* out) {
  std::error_code error;
  size_t sent = socket_.write_some(asio::buffer(out->data(), out->size()), error);
  if (error && error != asio::error::would_block && error != asio::error::try_again) {
    close();
    return false;
  }
  if (error) sent = 0;
  if (sent == out->size()) return true;
  unsent_.swap(*out);
  sent_bytes_ = sent;
  unanswered_bytes_ = 0;
  write_progress_at_ = loop_->now();
  is_writing_ = true;
  check_by(write_progress_at_ + loop_->options().timeouts.write_stall);
  socket_.async_write_some(asio::buffer(unsent_.data() + sent_bytes_, unsent_.size() - sent_bytes_),
                           WriteHandler{this});
  return false;
}

void Connection::on_written(const std::error_code& error, size_t bytes) {
  is_writing_ = false;
  touch();
  if (state_ == State::kClosed) return;
  if (error) {
    close();
    return;
  }
  sent_bytes_ += bytes;
  unanswered_bytes_ = 0;
  write_progress_at_ = loop_->now();
  if (sent_bytes_ == unsent_.size()) {
    unsent_.shrink(0);
    return;
  }
  is_writing_ = true;
  socket_.async_write_some(asio::buffer(unsent_.data() + sent_bytes_, unsent_.size() - sent_bytes_),
                           WriteHandler{this});
}

void Connection::read_on() {
  if (is_reading_) return;
  if (is_writing_ && unanswered_bytes_ >= kMaxUnansweredBytes) return;
  size_read_buffer();
  is_reading_ = true;
  socket_.async_read_some(asio::buffer(read_buffer_.get(), read_capacity_), ReadHandler{this});
}

void Connection::size_read_buffer() {
  uint32_t wanted = read_capacity_;
  if (last_read_bytes_ == read_capacity_) {
    wanted = std::clamp(read_capacity_ * kReadGrowth, kMinReadBytes, kMaxReadBytes);
    small_reads_ = 0;
  } else if (last_read_bytes_ > read_capacity_ / kReadGrowth) {
    small_reads_ = 0;
  } else if (++small_reads_ >= kSmallReads && read_capacity_ > kMinReadBytes) {
    wanted = std::max(read_capacity_ / kReadGrowth, kMinReadBytes);
    small_reads_ = 0;
  }
  if (wanted == read_capacity_) return;
  // Not make_unique, which would zero it.
  read_buffer_.reset(new std::byte[wanted]);
  read_capacity_ = wanted;
  if (wanted > kMinReadBytes) check_by(loop_->now() + loop_->options().timeouts.read_idle);
}

void Connection::start_drain() {
  if (state_ == State::kOpen) grpc_->start_drain();
}

void Connection::finish_drain() {
  if (state_ != State::kOpen) return;
  grpc_->finish_drain();
  touch();
}

void Connection::begin_closing() {
  if (state_ != State::kOpen) return;
  state_ = State::kClosing;
  closed_by_ = loop_->now() + loop_->options().timeouts.linger;
  check_by(closed_by_);
}

// After the write of a flush: closes what is finished, step by step.
void Connection::move_on() {
  if (is_writing_ || has_more_) return;
  if (state_ == State::kOpen && grpc_->is_finished()) begin_closing();
  if (state_ != State::kClosing) return;
  if (tls_) {
    tls_->close();
    Buffer& out = loop_->out();
    out.clear();
    out.swap(tls_->output());
    if (!out.empty() && !send(&out)) return;
  }
  std::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  state_ = State::kLingering;
}

void Connection::close(bool with_reset) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  std::error_code ignored;
  if (with_reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  loop_->timers().disarm(timer_);
  grpc_.reset();  // the front hears on_closed for every call
  tls_.reset();
  touch();
}

void Connection::check_by(Nanos when) {
  if (timer_.when() > when) loop_->timers().arm(timer_, when);
}

void Connection::on_timer(Nanos now) {
  const Timeouts& timeouts = loop_->options().timeouts;
  if (opened_by_ <= now || closed_by_ <= now) {
    close();
    return;
  }
  if (is_writing_ && write_progress_at_ + timeouts.write_stall <= now) {
    close(true);
    return;
  }
  if (next_stall_check_ <= now) {
    grpc_->reset_stalled_calls();
    next_stall_check_ = now + timeouts.call_stall;
    touch();
  }
  const bool is_large = read_capacity_ > kMinReadBytes;
  if (is_large && is_reading_ && !is_writing_ && last_read_at_ + timeouts.read_idle <= now) {
    is_trimming_ = true;
    std::error_code ignored;
    socket_.cancel(ignored);
  } else if (is_large) {
    check_by(std::max(last_read_at_, now - timeouts.read_idle / 2) + timeouts.read_idle);
  }
  check_by(std::min({opened_by_, closed_by_, next_stall_check_}));
  if (is_writing_) check_by(write_progress_at_ + timeouts.write_stall);
}

}  // namespace fastserve::net
