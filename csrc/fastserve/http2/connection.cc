#include "fastserve/http2/connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace fastserve::http2 {
namespace {

constexpr size_t kCreditStep = 16 * 1024;  // window credit is told to the library in such steps
constexpr Nanos kYoungStream = kSecond;
constexpr Nanos kShortestPatience = 10 * kMillisecond;
// Queued frames per stream that an honest peer may leave unread: HEADERS, trailers, RST_STREAM.
constexpr size_t kFramesPerStream = 3;
constexpr size_t kMaxFieldsOnStack = 16;

uint8_t* mutable_bytes(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
}

// The library gets views: names and values stay put until the frame is packed or the stream closes.
nghttp2_nv view_of(std::string_view name, std::string_view value) {
  return {mutable_bytes(name), mutable_bytes(value), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

std::string_view text_of(nghttp2_rcbuf* buffer) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

nghttp2_mem table_of(SessionMemory* memory) {
  nghttp2_mem table;
  table.mem_user_data = memory;
  table.malloc = [](size_t bytes, void* self) {
    return static_cast<SessionMemory*>(self)->allocate(bytes);
  };
  table.free = [](void* block, void* self) { static_cast<SessionMemory*>(self)->release(block); };
  table.calloc = [](size_t count, size_t bytes, void* self) -> void* {
    if (bytes != 0 && count > SIZE_MAX / bytes) return nullptr;
    void* block = static_cast<SessionMemory*>(self)->allocate(count * bytes);
    if (block != nullptr) std::memset(block, 0, count * bytes);
    return block;
  };
  table.realloc = [](void* block, size_t bytes, void* self) {
    return static_cast<SessionMemory*>(self)->reallocate(block, bytes);
  };
  return table;
}

}  // namespace

// The library's events, as static functions with access to Connection and Stream.
struct ConnectionCallbacks {
  static Connection& self(void* user) { return *static_cast<Connection*>(user); }

  // Events of one stream come in runs, so the latest lookup is remembered.
  static Stream* find(Connection& connection, int32_t id) {
    Stream* latest = connection.latest_;
    if (latest != nullptr && latest->id_ == id) return latest;
    auto* stream =
        static_cast<Stream*>(nghttp2_session_get_stream_user_data(connection.session_, id));
    if (stream != nullptr) connection.latest_ = stream;
    return stream;
  }

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Connection& connection = self(user);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      connection.decoding_ = connection.latest_ = connection.take_stream(frame->hd.stream_id);
      nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, connection.decoding_);
    } else {
      connection.decoding_ = find(connection, frame->hd.stream_id);
      if (connection.decoding_ != nullptr) {
        connection.decoding_->header_bytes_ = connection.decoding_->header_count_ = 0;
      }
    }
    return 0;
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                       nghttp2_rcbuf* value, uint8_t, void* user) {
    Connection& connection = self(user);
    Stream* stream = connection.decoding_;
    if (stream == nullptr) return 0;
    const Header header{text_of(name), text_of(value)};
    stream->header_bytes_ += static_cast<uint32_t>(header.name.size() + header.value.size() + 32);
    stream->header_count_ += 1;
    if (stream->header_bytes_ > connection.limits_.max_header_bytes ||
        stream->header_count_ > connection.limits_.max_header_count) {
      return refuse_headers(session, connection, *stream);
    }
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // trailers carry nothing for us
    nghttp2_rcbuf_incref(name);
    nghttp2_rcbuf_incref(value);
    stream->header_refs_.push_back({name, value});
    stream->headers_.push_back(header);
    return 0;
  }

  // The rest of the block is decoded without events, so that the HPACK table stays in step.
  static int refuse_headers(nghttp2_session* session, Connection& connection, Stream& stream) {
    connection.decoding_ = nullptr;
    stream.reset_by_us_ = true;
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream.id_, kEnhanceYourCalm);
    if (stream.is_open_) connection.close_for_handler(stream, kEnhanceYourCalm);
    if (!connection.charge(GlitchCost::kPeerError)) return NGHTTP2_ERR_CALLBACK_FAILURE;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*,
                               nghttp2_rcbuf*, uint8_t, void*) {
    // RFC 9113, 8.2.1: a request with an invalid field is malformed; without this the library would
    // drop the field and serve the request.
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Connection& connection = self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        Stream* stream = connection.decoding_;
        connection.decoding_ = nullptr;
        if (stream == nullptr) break;
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) stream->peer_ended_ = true;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          stream->is_open_ = true;
          stream->opened_at_ = connection.now_;
          ++connection.open_streams_;
          connection.handler_->on_request(*stream);
        }
        if (stream->is_open_ && stream->peer_ended_) connection.handler_->on_end(*stream);
        break;
      }
      case NGHTTP2_DATA: {
        if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) break;
        Stream* stream = find(connection, frame->hd.stream_id);
        if (stream == nullptr || !stream->is_open_) break;
        stream->peer_ended_ = true;
        connection.handler_->on_end(*stream);
        break;
      }
      case NGHTTP2_RST_STREAM:
        connection.charge(price_of_reset(connection, find(connection, frame->hd.stream_id)));
        break;
      default:
        break;
    }
    return connection.failed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int64_t price_of_reset(Connection& connection, const Stream* stream) {
    if (stream == nullptr || !stream->is_open_) {
      // Its answer crossed the reset on the wire, once per answer.
      if (connection.late_resets_due_ == 0) return GlitchCost::kReset;
      --connection.late_resets_due_;
      return 0;
    }
    const Nanos age = connection.now_ - stream->opened_at_;
    // At its deadline the call would have ended here too: the reset asks for nothing new.
    const bool gave_up = age >= kShortestPatience && age >= stream->patience_ns / 4 * 3;
    if (gave_up) return 0;
    if (stream->answering_ || age >= kYoungStream) return GlitchCost::kLateReset;
    return GlitchCost::kReset;
  }

  static int on_data_chunk(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* data,
                           size_t size, void* user) {
    Connection& connection = self(user);
    Stream* stream = find(connection, id);
    if (stream == nullptr || !stream->is_open_ ||
        stream->unread_bytes_ + size > connection.limits_.stream_window_bytes) {
      // Gone, or past its window: the library has queued the reset and delivers what is left of
      // the frame.
      connection.return_to_connection_window(size);
      return 0;
    }
    stream->unread_bytes_ += size;
    connection.unread_bytes_ += size;
    // Whatever of this frame is still to come has its window already; no credit is needed.
    if (flags & NGHTTP2_FLAG_END_STREAM) stream->peer_ended_ = true;
    connection.handler_->on_data(*stream, {reinterpret_cast<const std::byte*>(data), size});
    return connection.failed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    // The library queued a reset (or a GOAWAY). The work behind the stream ends now, not when a
    // peer that may never read lets the frame out.
    Connection& connection = self(user);
    Stream* stream = find(connection, frame->hd.stream_id);
    if (stream != nullptr && stream->is_open_) {
      connection.close_for_handler(*stream, kProtocolError);
    }
    return 0;
  }

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    Connection& connection = self(user);
    Stream* stream = find(connection, id);
    if (stream == nullptr) return 0;
    connection.latest_ = nullptr;
    if (connection.decoding_ == stream) connection.decoding_ = nullptr;
    if (stream->is_open_) connection.close_for_handler(*stream, error_code);
    connection.release_stream(stream);
    return 0;
  }

  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* data_flags,
                           nghttp2_data_source* source, void* user) {
    auto& stream = *static_cast<Stream*>(source->ptr);
    // Closed for the handler: its reset is on the way, and nothing may be framed before that.
    if (!stream.is_open_) return NGHTTP2_ERR_DEFERRED;
    const size_t bytes = std::min(length, stream.body_.size());
    if (bytes == stream.body_.size() && stream.finishing_) {
      *data_flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      self(user).submit_trailers(stream);
    } else if (bytes == 0) {
      stream.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    if (bytes > 0) *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return static_cast<ssize_t>(bytes);
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_header, size_t length,
                       nghttp2_data_source* source, void* user) {
    Connection& connection = self(user);
    auto& stream = *static_cast<Stream*>(source->ptr);
    connection.out_->append({reinterpret_cast<const std::byte*>(frame_header), 9});
    stream.body_.pop(length, connection.out_);
    stream.sent_bytes_ += length;
    connection.scanner_.on_data_sent();
    if (stream.over_high_water_ && stream.body_.size() < Connection::kLowWaterBytes) {
      stream.over_high_water_ = false;
      if (!stream.finishing_) connection.handler_->on_writable(stream);
    }
    return connection.out_->size() >= connection.out_limit_ ? NGHTTP2_ERR_PAUSE : 0;
  }

  static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Connection& connection = self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) break;
        Stream* stream = find(connection, frame->hd.stream_id);
        if (stream == nullptr) break;
        stream->answered_ = true;
        connection.limiter_.earn(GlitchCost::kAnswered);
        ++connection.late_resets_due_;
        if (!stream->peer_ended_) {
          stream->reset_by_us_ = true;
          nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id_, kNoError);
        }
        break;
      }
      case NGHTTP2_RST_STREAM: {
        const Stream* stream = find(connection, frame->hd.stream_id);
        if (stream != nullptr && stream->reset_by_us_) break;
        connection.charge(frame->rst_stream.error_code == kRefusedStream
                              ? GlitchCost::kRefusedStream
                              : GlitchCost::kPeerError);
        break;
      }
      case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != kNoError && !connection.failed_) {
          connection.fail(frame->goaway.error_code,
                          std::string(reinterpret_cast<const char*>(frame->goaway.opaque_data),
                                      frame->goaway.opaque_data_len));
        }
        break;
      default:
        break;
    }
    return 0;
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* table = nullptr;
    nghttp2_session_callbacks_new(&table);
    nghttp2_session_callbacks_set_on_begin_headers_callback(table, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(table, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(table, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(table, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, on_data_chunk);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(table, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(table, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(table, on_frame_send);
    return table;
  }
};

void Stream::release_headers() {
  for (const HeaderRef& ref : header_refs_) {
    nghttp2_rcbuf_decref(ref.name);
    nghttp2_rcbuf_decref(ref.value);
  }
  header_refs_.clear();
  headers_.clear();
}

Connection::Connection(const Limits& limits, Handler* handler)
    : limits_(limits),
      handler_(handler),
      limiter_(limits.glitch_burst, limits.glitch_per_second),
      scanner_(limits, &limiter_) {
  open_session();
}

Connection::~Connection() {
  for (auto& stream : streams_) {
    if (stream->is_open_) close_for_handler(*stream, kCancel);
    stream->release_headers();
  }
  nghttp2_session_del(session_);
}

void Connection::open_session() {
  static nghttp2_session_callbacks* const callbacks = ConnectionCallbacks::make();
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, limits_.max_outbound_control_frames);
  // Resets are priced by GlitchLimiter, which knows honest ones; the library's own bucket does not.
  nghttp2_option_set_stream_reset_rate_limit(option, uint64_t{1} << 40, uint64_t{1} << 20);
  // gRPC metadata values may carry outer spaces.
  nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1);
  nghttp2_mem table = table_of(&memory_);
  nghttp2_session_server_new3(&session_, callbacks, this, option, &table);
  nghttp2_option_del(option);

  const std::array<nghttp2_settings_entry, 5> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, limits_.max_frame_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits_.max_header_bytes},
      // Without the RFC 7540 tree a PRIORITY frame can neither cost much nor force a reset.
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(limits_.connection_window_bytes));
}

Status Connection::receive(ByteSpan bytes, Nanos now) {
  if (failed_) return failed_status();
  now_ = now;
  if (!scanner_.scan(bytes, now)) {
    fail(kEnhanceYourCalm, "too many resets, control frames or header bytes");
    return failed_status();
  }
  const ssize_t read = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (failed_) return failed_status();
  if (read < 0) {
    const bool is_flood = read == NGHTTP2_ERR_FLOODED || read == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
    fail(is_flood ? kEnhanceYourCalm : kProtocolError, nghttp2_strerror(static_cast<int>(read)));
  } else if (is_control_queue_full()) {
    fail(kEnhanceYourCalm, "too many control frames wait for a peer that does not read");
  }
  return failed_ ? failed_status() : ok_status();
}

bool Connection::produce(Buffer* out, size_t limit_bytes) {
  is_dirty_ = false;
  out_ = out;
  out_limit_ = out->size() + limit_bytes;
  while (out->size() < out_limit_) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size <= 0) {
      if (size < 0 && !failed_) {
        fail(kInternalError, nghttp2_strerror(static_cast<int>(size)));
      }
      break;
    }
    out->append({reinterpret_cast<const std::byte*>(data), static_cast<size_t>(size)});
  }
  out_ = nullptr;
  return wants_write();
}

bool Connection::wants_write() const { return nghttp2_session_want_write(session_) != 0; }

void Connection::respond(Stream& stream, std::span<const OutHeader> headers) {
  submit_headers(stream, headers, false);
}

void Connection::respond_and_end(Stream& stream, std::span<const OutHeader> headers) {
  submit_headers(stream, headers, true);
}

void Connection::submit_headers(Stream& stream, std::span<const OutHeader> headers, bool end) {
  if (!stream.is_open_ || stream.answering_) return;
  stream.answering_ = true;
  size_t text_bytes = 0;
  for (const OutHeader& header : headers) {
    if (!header.is_static) text_bytes += header.name.size() + header.value.size();
  }
  std::array<nghttp2_nv, kMaxFieldsOnStack> on_stack;
  std::vector<nghttp2_nv> on_heap;
  nghttp2_nv* fields = on_stack.data();
  if (headers.size() > on_stack.size()) {
    on_heap.resize(headers.size());
    fields = on_heap.data();
  }
  // The frame is packed by a later produce(); what is not static lives in a buffer of the stream
  // that nothing else writes.
  stream.response_text_.clear();
  stream.response_text_.reserve(text_bytes);
  auto keep = [&stream](std::string_view text) {
    const size_t begin = stream.response_text_.size();
    stream.response_text_.append(text);
    return std::string_view(stream.response_text_).substr(begin);
  };
  for (size_t i = 0; i < headers.size(); ++i) {
    const OutHeader& header = headers[i];
    fields[i] = header.is_static ? view_of(header.name, header.value)
                                 : view_of(keep(header.name), keep(header.value));
  }
  nghttp2_data_provider body{{.ptr = &stream}, ConnectionCallbacks::read_body};
  nghttp2_submit_response(session_, stream.id_, fields, headers.size(), end ? nullptr : &body);
  mark_dirty();
}

void Connection::send(Stream& stream, Buffer body) {
  if (!stream.is_open_ || stream.finishing_) return;
  stream.body_.push(std::move(body));
  if (stream.body_.size() > kHighWaterBytes) stream.over_high_water_ = true;
  resume(stream);
}

void Connection::finish(Stream& stream, std::span<const OutHeader> trailers) {
  if (!stream.is_open_ || stream.finishing_) return;
  stream.finishing_ = true;
  size_t text_bytes = 0;
  for (const OutHeader& trailer : trailers) {
    if (!trailer.is_static) text_bytes += trailer.name.size() + trailer.value.size();
  }
  stream.trailer_text_.clear();
  stream.trailer_text_.reserve(text_bytes);
  auto keep = [&stream](std::string_view text) {
    const size_t begin = stream.trailer_text_.size();
    stream.trailer_text_.append(text);
    return std::string_view(stream.trailer_text_).substr(begin);
  };
  for (const OutHeader& trailer : trailers) {
    stream.trailers_.push_back(trailer.is_static ? Header{trailer.name, trailer.value}
                                                 : Header{keep(trailer.name), keep(trailer.value)});
  }
  resume(stream);
}

void Connection::submit_trailers(Stream& stream) {
  std::array<nghttp2_nv, kMaxFieldsOnStack> on_stack;
  std::vector<nghttp2_nv> on_heap;
  nghttp2_nv* fields = on_stack.data();
  if (stream.trailers_.size() > on_stack.size()) {
    on_heap.resize(stream.trailers_.size());
    fields = on_heap.data();
  }
  for (size_t i = 0; i < stream.trailers_.size(); ++i) {
    fields[i] = view_of(stream.trailers_[i].name, stream.trailers_[i].value);
  }
  nghttp2_submit_trailer(session_, stream.id_, fields, stream.trailers_.size());
}

void Connection::resume(Stream& stream) {
  if (!stream.deferred_) return;
  stream.deferred_ = false;
  nghttp2_session_resume_data(session_, stream.id_);
  mark_dirty();
}

void Connection::reset(Stream& stream, uint32_t error_code) {
  if (!stream.is_open_ || stream.reset_by_us_) return;
  stream.reset_by_us_ = true;
  stream.body_.clear();
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, error_code);
  mark_dirty();
}

void Connection::consume(Stream& stream, size_t bytes) {
  bytes = std::min(bytes, stream.unread_bytes_);
  stream.unread_bytes_ -= bytes;
  unread_bytes_ -= bytes;
  return_to_connection_window(bytes);
  if (stream.peer_ended_) return;
  stream.credit_bytes_ += bytes;
  if (stream.credit_bytes_ < std::min<size_t>(kCreditStep, limits_.stream_window_bytes / 4)) return;
  nghttp2_session_consume_stream(session_, stream.id_, stream.credit_bytes_);
  mark_dirty();
  stream.credit_bytes_ = 0;
}

void Connection::return_to_connection_window(size_t bytes) {
  credit_bytes_ += bytes;
  if (credit_bytes_ < std::min<size_t>(kCreditStep, limits_.connection_window_bytes / 4)) return;
  nghttp2_session_consume_connection(session_, credit_bytes_);
  mark_dirty();
  credit_bytes_ = 0;
}

void Connection::start_drain() {
  if (failed_ || draining_) return;
  has_drain_notice_ = true;
  nghttp2_submit_shutdown_notice(session_);
  mark_dirty();
}

void Connection::finish_drain() {
  if (failed_ || draining_) return;
  draining_ = true;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), kNoError, nullptr, 0);
  mark_dirty();
}

bool Connection::is_finished() const {
  if (wants_write()) return false;
  if (failed_) return true;
  if (draining_) return open_streams_ == 0;
  // The library wants no more after the first GOAWAY; we wait for calls that crossed it.
  return !has_drain_notice_ && nghttp2_session_want_read(session_) == 0;
}

Stream* Connection::take_stream(int32_t id) {
  if (free_streams_.empty()) {
    streams_.push_back(std::make_unique<Stream>());
    free_streams_.push_back(streams_.back().get());
  }
  Stream* stream = free_streams_.back();
  free_streams_.pop_back();
  stream->id_ = id;
  return stream;
}

void Connection::close_for_handler(Stream& stream, uint32_t error_code) {
  stream.is_open_ = false;
  --open_streams_;
  const size_t unread = std::exchange(stream.unread_bytes_, 0);
  unread_bytes_ -= unread;
  return_to_connection_window(unread);
  if (stream.answered_) {
    error_code = kNoError;
  } else if (error_code == kNoError) {
    error_code = kCancel;
  }
  handler_->on_closed(stream, error_code);
  stream.body_.clear();
}

void Connection::release_stream(Stream* stream) {
  stream->release_headers();
  stream->recycle();
  free_streams_.push_back(stream);
}

void Connection::fail(uint32_t goaway_code, std::string reason) {
  if (failed_) return;
  failed_ = true;
  failure_ = std::move(reason);
  nghttp2_session_terminate_session(session_, goaway_code);
  for (auto& stream : streams_) {
    if (stream->is_open_) close_for_handler(*stream, goaway_code);
  }
}

Status Connection::failed_status() const {
  return {Code::kUnavailable, "HTTP/2 connection failed: " + failure_};
}

bool Connection::charge(int64_t tenths) {
  if (failed_) return false;
  if (tenths == 0 || limiter_.charge(tenths, now_)) return true;
  fail(kEnhanceYourCalm, "too many resets or malformed requests");
  return false;
}

bool Connection::is_control_queue_full() const {
  const size_t open = streams_.size() - free_streams_.size();
  return nghttp2_session_get_outbound_queue_size(session_) >
         limits_.max_outbound_control_frames + kFramesPerStream * open;
}

}  // namespace fastserve::http2
