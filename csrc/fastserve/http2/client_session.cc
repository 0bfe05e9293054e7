#include "fastserve/http2/client_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace fastserve::http2 {
namespace {

constexpr std::string_view kClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint32_t kLargestWindow = 0x7fffffff;
// Our end never lets a peer wait: both windows are the largest, and half of it is given back.
constexpr uint64_t kGiveBackBytes = kLargestWindow / 2;
constexpr size_t kOurMaxFrame = 16384;
constexpr size_t kMaxHeaderBlock = 256 * 1024;
constexpr size_t kFirstSlots = 64;

Status broken(std::string_view what) {
  return {Code::kUnavailable, "the peer broke HTTP/2: " + std::string(what)};
}

uint32_t number_at(const std::byte* at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(at);
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

int small_number(std::string_view text) {
  int value = Reply::kNoStatus;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : Reply::kNoStatus;
}

// Takes padding, and the priority of HEADERS, off a frame's payload. False when it is too short.
bool unpad(uint8_t type, uint8_t flags, ByteSpan* payload) {
  size_t padding = 0;
  if (flags & NGHTTP2_FLAG_PADDED) {
    if (payload->empty()) return false;
    padding = static_cast<size_t>(payload->front());
    *payload = payload->subspan(1);
  }
  if (type == NGHTTP2_HEADERS && (flags & NGHTTP2_FLAG_PRIORITY)) {
    if (payload->size() < 5) return false;
    *payload = payload->subspan(5);
  }
  if (padding > payload->size()) return false;
  *payload = payload->first(payload->size() - padding);
  return true;
}

}  // namespace

ClientSession::ClientSession(Headers headers, ReplySink* sink)
    : headers_(std::move(headers)), sink_(sink), streams_(kFirstSlots) {
  nghttp2_hd_deflate_new(&deflater_, 4096);
  nghttp2_hd_inflate_new(&inflater_);
  output_.append(as_bytes(kClientPreface));
  put_frame_header(12, NGHTTP2_SETTINGS, 0, 0);
  const auto put_setting = [this](uint16_t id, uint32_t value) {
    const std::byte name[] = {std::byte(id >> 8), std::byte(id & 0xff)};
    output_.append(name);
    put_number(value);
  };
  put_setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
  put_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kLargestWindow);
  put_frame_header(4, NGHTTP2_WINDOW_UPDATE, 0, 0);
  put_number(kLargestWindow - 65535);
}

ClientSession::~ClientSession() {
  nghttp2_hd_deflate_del(deflater_);
  nghttp2_hd_inflate_del(inflater_);
}

uint32_t ClientSession::open(ByteSpan body, const Ticket& ticket) {
  if (!is_block_stable_) encode_headers();
  const uint32_t id = next_id_;
  next_id_ += 2;
  Stream& stream = insert(id);
  stream.ticket = ticket;
  stream.window = peer_stream_window_;
  stream.unsent = body;
  // The block may be longer than a frame where somebody sends large metadata.
  std::string_view block = block_;
  uint8_t type = NGHTTP2_HEADERS;
  do {
    const size_t size = std::min(block.size(), peer_max_frame_);
    const bool is_last = size == block.size();
    uint8_t flags = is_last ? NGHTTP2_FLAG_END_HEADERS : NGHTTP2_FLAG_NONE;
    if (type == NGHTTP2_HEADERS && body.empty()) flags |= NGHTTP2_FLAG_END_STREAM;
    put_frame_header(size, type, flags, id);
    output_.append(as_bytes(block.substr(0, size)));
    block.remove_prefix(size);
    type = NGHTTP2_CONTINUATION;
  } while (!block.empty());
  if (body.empty()) {
    stream.is_sent = true;
    return id;
  }
  send_body(&stream);
  if (!stream.is_sent) waiting_.push_back(id);
  return id;
}

bool ClientSession::cancel(uint32_t id, Ticket* ticket) {
  Stream* stream = find(id);
  if (stream == nullptr) return false;
  *ticket = stream->ticket;
  put_frame_header(4, NGHTTP2_RST_STREAM, 0, id);
  put_number(NGHTTP2_CANCEL);
  erase(stream);
  return true;
}

// The first block puts the fields into the peer's table, the next ones only point at them; fields
// that HPACK does not index are spelled out in each.
void ClientSession::encode_headers() {
  std::vector<nghttp2_nv> fields;
  for (const auto& [name, value] : headers_) {
    fields.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  std::string block(nghttp2_hd_deflate_bound(deflater_, fields.data(), fields.size()), '\0');
  const ssize_t size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(block.data()),
                                             block.size(), fields.data(), fields.size());
  block.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  // Fields that do not fit the table together push each other out: two equal blocks prove nothing.
  size_t entry_bytes = 0;
  for (const auto& [name, value] : headers_) entry_bytes += name.size() + value.size() + 32;
  const size_t table_bytes = nghttp2_hd_deflate_get_max_dynamic_table_size(deflater_);
  is_block_stable_ = block == block_ && (table_bytes == 0 || entry_bytes <= table_bytes);
  block_.swap(block);
}

ClientSession::Stream* ClientSession::find(uint32_t id) {
  for (size_t at = home_of(id); streams_[at].id != 0; at = (at + 1) & (streams_.size() - 1)) {
    if (streams_[at].id == id) return &streams_[at];
  }
  return nullptr;
}

ClientSession::Stream& ClientSession::insert(uint32_t id) {
  if ((open_count_ + 1) * 2 > streams_.size()) {
    std::vector<Stream> old(streams_.size() * 2);
    old.swap(streams_);
    open_count_ = 0;
    for (Stream& stream : old) {
      if (stream.id != 0) insert(stream.id) = stream;
    }
  }
  size_t at = home_of(id);
  while (streams_[at].id != 0) at = (at + 1) & (streams_.size() - 1);
  ++open_count_;
  streams_[at] = Stream{};
  streams_[at].id = id;
  return streams_[at];
}

// Moves later streams of the run up, so that none is behind a gap.
void ClientSession::erase(Stream* stream) {
  const size_t mask = streams_.size() - 1;
  auto gap = static_cast<size_t>(stream - streams_.data());
  for (size_t at = (gap + 1) & mask; streams_[at].id != 0; at = (at + 1) & mask) {
    const size_t home = home_of(streams_[at].id);
    if (((at - home) & mask) < ((at - gap) & mask)) continue;
    streams_[gap] = streams_[at];
    gap = at;
  }
  streams_[gap].id = 0;
  --open_count_;
}

void ClientSession::end(Stream* stream, uint32_t error_code) {
  const Ticket ticket = stream->ticket;
  const Reply reply{.http_status = stream->http_status,
                    .grpc_status = stream->grpc_status,
                    .body_bytes = stream->received,
                    .error_code = error_code,
                    .grpc_message = stream->grpc_status > 0 ? std::string_view(message_) : ""};
  if (!stream->is_sent && error_code == Reply::kNoError) {
    // The answer came before the request was out; the peer wants no more of it.
    put_frame_header(4, NGHTTP2_RST_STREAM, 0, stream->id);
    put_number(NGHTTP2_NO_ERROR);
  }
  erase(stream);
  sink_->on_reply(ticket, reply);
}

Status ClientSession::receive(ByteSpan bytes) {
  while (true) {
    if (!partial_.empty() || bytes.size() < kFrameHeaderBytes) {
      // Completes the frame in partial_, header first.
      if (bytes.empty()) return ok_status();
      size_t wanted = kFrameHeaderBytes;
      if (partial_.size() >= kFrameHeaderBytes) {
        wanted += number_at(as_bytes(partial_).data()) >> 8;
      }
      const size_t more = std::min(wanted - std::min(wanted, partial_.size()), bytes.size());
      partial_ += as_text(bytes.first(more));
      bytes = bytes.subspan(more);
      if (partial_.size() < kFrameHeaderBytes) return ok_status();
    }
    const bool is_partial = !partial_.empty();
    const ByteSpan source = is_partial ? as_bytes(partial_) : bytes;
    const size_t length = number_at(source.data()) >> 8;
    if (length > kOurMaxFrame) return broken("a frame longer than SETTINGS allow");
    const size_t whole = kFrameHeaderBytes + length;
    if (source.size() < whole) {
      if (is_partial) {
        if (bytes.empty()) return ok_status();
        continue;
      }
      partial_ = as_text(bytes);
      return ok_status();
    }
    const Frame frame{.type = static_cast<uint8_t>(source[3]),
                      .flags = static_cast<uint8_t>(source[4]),
                      .stream = number_at(source.data() + 5) & kMaxStreamId,
                      .payload = source.subspan(kFrameHeaderBytes, length)};
    if (Status status = on_frame(frame); !status.ok()) return status;
    if (is_partial) {
      partial_.clear();
    } else {
      bytes = bytes.subspan(whole);
    }
  }
}

Status ClientSession::on_frame(const Frame& frame) {
  if (block_stream_ != 0 && (frame.type != NGHTTP2_CONTINUATION || frame.stream != block_stream_)) {
    return broken("a header block was interrupted");
  }
  switch (frame.type) {
    case NGHTTP2_DATA:
      return on_data(frame);
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
      return on_header_frame(frame);
    case NGHTTP2_SETTINGS:
      return on_settings(frame);
    case NGHTTP2_WINDOW_UPDATE:
      return on_window_update(frame);
    case NGHTTP2_RST_STREAM:
      if (frame.payload.size() != 4) return broken("RST_STREAM of a wrong size");
      if (Stream* stream = find(frame.stream)) {
        const uint32_t code = number_at(frame.payload.data());
        // RFC 9113, 8.1: NO_ERROR after a whole answer only says that the rest is not wanted.
        end(stream, code == NGHTTP2_NO_ERROR ? uint32_t{NGHTTP2_INTERNAL_ERROR} : code);
      }
      return ok_status();
    case NGHTTP2_PING:
      if (frame.payload.size() != 8) return broken("PING of a wrong size");
      if (!(frame.flags & NGHTTP2_FLAG_ACK)) {
        put_frame_header(8, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0);
        output_.append(frame.payload);
      }
      return ok_status();
    case NGHTTP2_GOAWAY:
      if (frame.payload.size() < 8) return broken("GOAWAY of a wrong size");
      on_goaway(frame);
      return ok_status();
    case NGHTTP2_PUSH_PROMISE:
      return broken("a push that was forbidden");
    default:
      return ok_status();
  }
}

Status ClientSession::on_data(const Frame& frame) {
  ByteSpan payload = frame.payload;
  unacknowledged_ += payload.size();
  if (unacknowledged_ > kGiveBackBytes) {
    put_frame_header(4, NGHTTP2_WINDOW_UPDATE, 0, 0);
    put_number(static_cast<uint32_t>(unacknowledged_));
    unacknowledged_ = 0;
  }
  if (!unpad(frame.type, frame.flags, &payload)) return broken("padding longer than its frame");
  Stream* stream = find(frame.stream);
  if (stream == nullptr) return ok_status();  // cancelled before it came
  stream->received += payload.size();
  if (frame.flags & NGHTTP2_FLAG_END_STREAM) end(stream, Reply::kNoError);
  return ok_status();
}

Status ClientSession::on_header_frame(const Frame& frame) {
  ByteSpan payload = frame.payload;
  const bool is_last = frame.flags & NGHTTP2_FLAG_END_HEADERS;
  if (frame.type == NGHTTP2_CONTINUATION) {
    if (block_stream_ == 0) return broken("CONTINUATION without HEADERS");
    block_parts_ += as_text(payload);
    if (block_parts_.size() > kMaxHeaderBlock) return broken("a header block without end");
    if (!is_last) return ok_status();
    block_stream_ = 0;
    return on_header_block(frame.stream, block_flags_, as_bytes(block_parts_));
  }
  if (!unpad(frame.type, frame.flags, &payload)) return broken("padding longer than its frame");
  if (is_last) return on_header_block(frame.stream, frame.flags, payload);
  block_stream_ = frame.stream;
  block_flags_ = frame.flags;
  block_parts_ = as_text(payload);
  return ok_status();
}

Status ClientSession::on_header_block(uint32_t id, uint8_t flags, ByteSpan block) {
  Stream* stream = find(id);  // null: cancelled, but its fields belong to the table all the same
  message_.clear();
  const auto* in = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  while (true) {
    nghttp2_nv field{};
    int inflate_flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &inflate_flags, in, left, 1);
    if (used < 0) return broken("headers that do not decode");
    in += used;
    left -= static_cast<size_t>(used);
    if (stream != nullptr && (inflate_flags & NGHTTP2_HD_INFLATE_EMIT)) {
      on_field(stream, {reinterpret_cast<const char*>(field.name), field.namelen},
               {reinterpret_cast<const char*>(field.value), field.valuelen});
    }
    if (inflate_flags & NGHTTP2_HD_INFLATE_FINAL) break;
    if (!(inflate_flags & NGHTTP2_HD_INFLATE_EMIT) && left == 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  if (stream == nullptr) return ok_status();
  if (flags & NGHTTP2_FLAG_END_STREAM) end(stream, Reply::kNoError);
  return ok_status();
}

void ClientSession::on_field(Stream* stream, std::string_view name, std::string_view value) {
  if (name == ":status") {
    stream->http_status = static_cast<int16_t>(small_number(value));
  } else if (name == "grpc-status") {
    stream->grpc_status = static_cast<int16_t>(small_number(value));
  } else if (name == "grpc-message") {
    message_ = value;
  }
}

Status ClientSession::on_settings(const Frame& frame) {
  if (frame.flags & NGHTTP2_FLAG_ACK) return ok_status();
  if (frame.payload.size() % 6 != 0) return broken("SETTINGS of a wrong size");
  for (ByteSpan rest = frame.payload; !rest.empty(); rest = rest.subspan(6)) {
    const uint32_t id = number_at(rest.data()) >> 16;
    const uint32_t value = number_at(rest.data() + 2);
    switch (id) {
      case NGHTTP2_SETTINGS_HEADER_TABLE_SIZE:
        nghttp2_hd_deflate_change_table_size(deflater_, std::min<uint32_t>(value, 4096));
        // The next block says so; the one after it may be the one that stays.
        is_block_stable_ = false;
        block_.clear();
        break;
      case NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS:
        peer_max_streams_ = value;
        break;
      case NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE:
        if (value > kLargestWindow) return broken("a window larger than 2^31-1");
        for (Stream& stream : streams_) stream.window += int64_t{value} - peer_stream_window_;
        peer_stream_window_ = value;
        break;
      case NGHTTP2_SETTINGS_MAX_FRAME_SIZE:
        if (value < 16384 || value > 16777215) return broken("a frame size out of range");
        peer_max_frame_ = value;
        break;
      default:
        break;
    }
  }
  is_settled_ = true;
  put_frame_header(0, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0);
  resume_bodies();
  return ok_status();
}

Status ClientSession::on_window_update(const Frame& frame) {
  if (frame.payload.size() != 4) return broken("WINDOW_UPDATE of a wrong size");
  const uint32_t more = number_at(frame.payload.data()) & kLargestWindow;
  if (frame.stream == 0) {
    send_window_ += more;
  } else if (Stream* stream = find(frame.stream)) {
    stream->window += more;
  }
  if (!waiting_.empty()) resume_bodies();
  return ok_status();
}

void ClientSession::on_goaway(const Frame& frame) {
  is_closing_ = true;
  const uint32_t last = number_at(frame.payload.data()) & kMaxStreamId;
  std::vector<uint32_t> refused;
  for (const Stream& stream : streams_) {
    if (stream.id > last) refused.push_back(stream.id);
  }
  for (const uint32_t id : refused) end(find(id), NGHTTP2_REFUSED_STREAM);
}

void ClientSession::send_body(Stream* stream) {
  while (!stream->unsent.empty()) {
    const int64_t window = std::min(stream->window, send_window_);
    if (window <= 0) return;
    const size_t size =
        std::min({stream->unsent.size(), static_cast<size_t>(window), peer_max_frame_});
    const bool is_last = size == stream->unsent.size();
    put_frame_header(size, NGHTTP2_DATA, is_last ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE,
                     stream->id);
    output_.append(stream->unsent.first(size));
    stream->unsent = stream->unsent.subspan(size);
    stream->window -= static_cast<int64_t>(size);
    send_window_ -= static_cast<int64_t>(size);
  }
  stream->is_sent = true;
}

// Whoever waits for its own window does not hold up those behind it.
void ClientSession::resume_bodies() {
  size_t left = waiting_.size();
  while (left-- > 0 && send_window_ > 0) {
    const uint32_t id = waiting_.front();
    waiting_.pop_front();
    Stream* stream = find(id);
    if (stream == nullptr) continue;
    send_body(stream);
    if (!stream->is_sent) waiting_.push_back(id);
  }
}

void ClientSession::put_frame_header(size_t length, uint8_t type, uint8_t flags, uint32_t stream) {
  const std::byte header[kFrameHeaderBytes] = {std::byte(length >> 16 & 0xff),
                                               std::byte(length >> 8 & 0xff),
                                               std::byte(length & 0xff),
                                               std::byte(type),
                                               std::byte(flags),
                                               std::byte(stream >> 24 & 0xff),
                                               std::byte(stream >> 16 & 0xff),
                                               std::byte(stream >> 8 & 0xff),
                                               std::byte(stream & 0xff)};
  output_.append(header);
}

void ClientSession::put_number(uint32_t value) {
  const std::byte bytes[] = {std::byte(value >> 24), std::byte(value >> 16 & 0xff),
                             std::byte(value >> 8 & 0xff), std::byte(value & 0xff)};
  output_.append(bytes);
}

}  // namespace fastserve::http2
