#include "fastserve/http2/connection_callbacks.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "fastserve/http2/rcbuf.h"

namespace fastserve::http2 {
namespace {

constexpr Nanos kYoungStream = kSecond;
constexpr Nanos kShortestPatience = 10 * kMillisecond;

}  // namespace

Connection& ConnectionCallbacks::self(void* user) { return *static_cast<Connection*>(user); }

// Events of one stream come in runs, so the latest lookup is remembered.
Stream* ConnectionCallbacks::find(Connection& connection, int32_t id) {
  Stream* latest = connection.latest_;
  if (latest != nullptr && latest->id_ == id) return latest;
  auto* stream =
      static_cast<Stream*>(nghttp2_session_get_stream_user_data(connection.session_, id));
  if (stream != nullptr) connection.latest_ = stream;
  return stream;
}

int ConnectionCallbacks::on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame,
                                          void* user) {
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

int ConnectionCallbacks::on_header(nghttp2_session*, const nghttp2_frame* frame,
                                   nghttp2_rcbuf* name, nghttp2_rcbuf* value, uint8_t, void* user) {
  Connection& connection = self(user);
  Stream* stream = connection.decoding_;
  if (stream == nullptr) return 0;
  const Header header{text_of(name), text_of(value), name, value};
  stream->header_bytes_ += static_cast<uint32_t>(header.name.size() + header.value.size() + 32);
  const uint32_t place = stream->header_count_++;
  if (stream->header_bytes_ > connection.limits_.max_header_bytes ||
      stream->header_count_ > connection.limits_.max_header_count) {
    return refuse_headers(connection, *stream, kEnhanceYourCalm);
  }
  const bool is_trailer = frame->headers.cat != NGHTTP2_HCAT_REQUEST;
  const FieldKind kind = connection.fields_.kind_of(place, name, value, header.name, header.value);
  if (!stream->shape_.take(kind, header.value)) {
    return refuse_headers(connection, *stream, kProtocolError);
  }
  if (is_trailer) return 0;  // they carry nothing for us
  nghttp2_rcbuf_incref(name);
  nghttp2_rcbuf_incref(value);
  stream->headers_.push_back(header);
  return 0;
}

// The rest of the block is decoded without events, so that the HPACK table stays in step.
int ConnectionCallbacks::refuse_headers(Connection& connection, Stream& stream,
                                        uint32_t error_code) {
  connection.decoding_ = nullptr;
  refuse(connection, stream, error_code);
  return connection.failed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

// Resets a stream that the peer spoiled.
void ConnectionCallbacks::refuse(Connection& connection, Stream& stream, uint32_t error_code) {
  stream.reset_by_us_ = true;
  nghttp2_submit_rst_stream(connection.session_, NGHTTP2_FLAG_NONE, stream.id_, error_code);
  if (stream.is_open_) connection.close_for_handler(stream, error_code);
  connection.charge(GlitchCost::kPeerError);
}

void ConnectionCallbacks::on_headers(Connection& connection, Stream& stream,
                                     const nghttp2_frame& frame) {
  const bool is_end = frame.hd.flags & NGHTTP2_FLAG_END_STREAM;
  const bool is_request = frame.headers.cat == NGHTTP2_HCAT_REQUEST;
  // Trailers without an end, or a body of another length than was declared, are malformed too.
  const bool is_well = is_request ? stream.shape_.end_headers() : is_end;
  if (!is_well || (is_end && !stream.shape_.is_whole())) {
    refuse(connection, stream, kProtocolError);
    return;
  }
  if (is_end) stream.peer_ended_ = true;
  if (is_request) {
    stream.is_open_ = true;
    stream.opened_at_ = connection.now_;
    ++connection.open_streams_;
    connection.handler_->on_request(stream);
  }
  if (stream.is_open_ && stream.peer_ended_) connection.handler_->on_end(stream);
}

int ConnectionCallbacks::on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  Connection& connection = self(user);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS: {
      Stream* stream = connection.decoding_;
      connection.decoding_ = nullptr;
      if (stream != nullptr) on_headers(connection, *stream, *frame);
      break;
    }
    case NGHTTP2_DATA: {
      if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) break;
      Stream* stream = find(connection, frame->hd.stream_id);
      if (stream == nullptr || !stream->is_open_) break;
      if (!stream->shape_.is_whole()) {
        refuse(connection, *stream, kProtocolError);
        break;
      }
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

int64_t ConnectionCallbacks::price_of_reset(Connection& connection, const Stream* stream) {
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

int ConnectionCallbacks::on_data_chunk(nghttp2_session*, uint8_t flags, int32_t id,
                                       const uint8_t* data, size_t size, void* user) {
  Connection& connection = self(user);
  Stream* stream = find(connection, id);
  if (stream == nullptr || !stream->is_open_ ||
      stream->unread_bytes_ + size > connection.limits_.stream_window_bytes) {
    // Gone, or past its window: the library has queued the reset and delivers what is left of
    // the frame.
    connection.return_to_connection_window(size);
    return 0;
  }
  if (!stream->shape_.add_body(size)) {
    connection.return_to_connection_window(size);
    refuse(connection, *stream, kProtocolError);
    return connection.failed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }
  stream->unread_bytes_ += size;
  connection.unread_bytes_ += size;
  // Whatever of this frame is still to come has its window already; no credit is needed.
  if (flags & NGHTTP2_FLAG_END_STREAM) stream->peer_ended_ = true;
  connection.handler_->on_data(*stream, {reinterpret_cast<const std::byte*>(data), size});
  return connection.failed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int ConnectionCallbacks::on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int,
                                          void* user) {
  // The library queued a reset (or a GOAWAY). The work behind the stream ends now, not when a
  // peer that may never read lets the frame out.
  Connection& connection = self(user);
  Stream* stream = find(connection, frame->hd.stream_id);
  if (stream != nullptr && stream->is_open_) {
    connection.close_for_handler(*stream, kProtocolError);
  }
  return 0;
}

int ConnectionCallbacks::on_stream_close(nghttp2_session*, int32_t id, uint32_t error_code,
                                         void* user) {
  Connection& connection = self(user);
  Stream* stream = find(connection, id);
  if (stream == nullptr) return 0;
  connection.latest_ = nullptr;
  if (connection.decoding_ == stream) connection.decoding_ = nullptr;
  if (stream->is_open_) connection.close_for_handler(*stream, error_code);
  connection.release_stream(stream);
  return 0;
}

ssize_t ConnectionCallbacks::read_body(nghttp2_session*, int32_t, uint8_t*, size_t length,
                                       uint32_t* data_flags, nghttp2_data_source* source,
                                       void* user) {
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

int ConnectionCallbacks::send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_header,
                                   size_t length, nghttp2_data_source* source, void* user) {
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

int ConnectionCallbacks::on_frame_send(nghttp2_session* session, const nghttp2_frame* frame,
                                       void* user) {
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
      connection.charge(frame->rst_stream.error_code == kRefusedStream ? GlitchCost::kRefusedStream
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

int ConnectionCallbacks::on_frame_not_send(nghttp2_session*, const nghttp2_frame* frame, int error,
                                           void* user) {
  // The library takes header blocks up to 64 KiB. Without its headers or trailers an answer would
  // wait for ever.
  if (frame->hd.type != NGHTTP2_HEADERS || error != NGHTTP2_ERR_FRAME_SIZE_ERROR) return 0;
  Connection& connection = self(user);
  Stream* stream = find(connection, frame->hd.stream_id);
  if (stream != nullptr) connection.reset(*stream, kInternalError);
  return 0;
}

nghttp2_session_callbacks* ConnectionCallbacks::make() {
  nghttp2_session_callbacks* table = nullptr;
  nghttp2_session_callbacks_new(&table);
  nghttp2_session_callbacks_set_on_begin_headers_callback(table, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback2(table, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(table, on_frame_recv);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, on_data_chunk);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table, on_invalid_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(table, on_stream_close);
  nghttp2_session_callbacks_set_send_data_callback(table, send_data);
  nghttp2_session_callbacks_set_on_frame_send_callback(table, on_frame_send);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(table, on_frame_not_send);
  return table;
}

}  // namespace fastserve::http2
