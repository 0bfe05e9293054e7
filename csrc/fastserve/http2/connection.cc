#include "fastserve/http2/connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "fastserve/http2/connection_callbacks.h"

namespace fastserve::http2 {
namespace {

constexpr size_t kCreditStep = 16 * 1024;  // window credit is told to the library in such steps
// Of the table with which answers are compressed. Of each connection's memory it takes a quarter of
// this beforehand; what answers repeat takes a few hundred bytes.
constexpr size_t kMaxEncoderTableBytes = 1024;
// Queued frames per stream that an honest peer may leave unread: HEADERS, trailers, RST_STREAM.
constexpr size_t kFramesPerStream = 3;

uint8_t* mutable_bytes(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
}

// The library gets views: names and values stay put until the frame is packed or the stream closes.
nghttp2_nv view_of(std::string_view name, std::string_view value) {
  return {mutable_bytes(name), mutable_bytes(value), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

// Fields of a frame in the library's form, on the stack as far as they are few.
class FieldArray {
 public:
  explicit FieldArray(size_t size) : size_(size), heap_(size > stack_.size() ? size : 0) {}
  nghttp2_nv& operator[](size_t i) { return data()[i]; }
  nghttp2_nv* data() { return heap_.empty() ? stack_.data() : heap_.data(); }
  size_t size() const { return size_; }

 private:
  size_t size_;
  std::array<nghttp2_nv, 16> stack_;
  std::vector<nghttp2_nv> heap_;
};

// Calls each(i, name, value) with views that outlive the frame: static fields as they are, others
// copied to *text, which is written once and in full before anything looks at it.
template <typename Each>
void keep_fields(std::span<const OutHeader> fields, Buffer* text, Each each) {
  size_t bytes = 0;
  for (const OutHeader& field : fields) {
    if (!field.is_static) bytes += field.name.size() + field.value.size();
  }
  text->clear();
  char* to = bytes == 0 ? nullptr : reinterpret_cast<char*>(text->extend(bytes));
  auto keep = [&to](std::string_view part) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    return std::string_view(std::exchange(to, to + part.size()), part.size());
  };
  for (size_t i = 0; i < fields.size(); ++i) {
    const OutHeader& field = fields[i];
    if (field.is_static) {
      each(i, field.name, field.value);
    } else {
      const std::string_view name = keep(field.name);
      each(i, name, keep(field.value));
    }
  }
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

void Stream::release_headers() {
  for (const Header& header : headers_) {
    nghttp2_rcbuf_decref(header.name_buffer);
    nghttp2_rcbuf_decref(header.value_buffer);
  }
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
  fields_.clear();
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
  nghttp2_option_set_max_deflate_dynamic_table_size(option, kMaxEncoderTableBytes);
  // FieldCheck and RequestShape do it.
  nghttp2_option_set_no_http_messaging(option, 1);
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
  FieldArray fields(headers.size());
  keep_fields(headers, &stream.response_text_,
              [&fields](size_t i, std::string_view name, std::string_view value) {
                fields[i] = view_of(name, value);
              });
  nghttp2_data_provider body{{.ptr = &stream}, ConnectionCallbacks::read_body};
  nghttp2_submit_response(session_, stream.id_, fields.data(), fields.size(),
                          end ? nullptr : &body);
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
  keep_fields(trailers, &stream.trailer_text_,
              [&stream](size_t, std::string_view name, std::string_view value) {
                stream.trailers_.push_back({name, value});
              });
  resume(stream);
}

void Connection::submit_trailers(Stream& stream) {
  FieldArray fields(stream.trailers_.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    fields[i] = view_of(stream.trailers_[i].name, stream.trailers_[i].value);
  }
  nghttp2_submit_trailer(session_, stream.id_, fields.data(), fields.size());
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
