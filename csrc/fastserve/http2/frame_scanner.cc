#include "fastserve/http2/frame_scanner.h"

#include <algorithm>
#include <cstring>

namespace fastserve::http2 {
namespace {

// RFC 9113, section 6.
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr uint8_t kFlagEndStream = 0x1;
constexpr uint8_t kFlagAck = 0x1;
constexpr uint8_t kFlagEndHeaders = 0x4;
constexpr uint8_t kFlagPadded = 0x8;
constexpr uint32_t kMaxPaddingBytes = 256;

}  // namespace

bool FrameScanner::scan(ByteSpan bytes, Nanos now) {
  const auto* in = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  while (left > 0) {
    if (skip_ > 0) {
      const size_t skipped = std::min(skip_, left);
      skip_ -= skipped;
      in += skipped;
      left -= skipped;
      continue;
    }
    const uint8_t* header = in;
    size_t read = kFrameHeaderBytes;
    if (header_size_ > 0 || left < kFrameHeaderBytes) {
      read = std::min(kFrameHeaderBytes - header_size_, left);
      std::memcpy(header_ + header_size_, in, read);
      header_size_ += read;
      if (header_size_ < kFrameHeaderBytes) return true;
      header_size_ = 0;
      header = header_;
    }
    in += read;
    left -= read;
    if (!on_frame_header(header, now)) return false;
  }
  return true;
}

bool FrameScanner::on_frame_header(const uint8_t* header, Nanos now) {
  const uint32_t length = uint32_t{header[0]} << 16 | uint32_t{header[1]} << 8 | header[2];
  const uint8_t type = header[3];
  const uint8_t flags = header[4];
  skip_ = length;
  if (type == kHeaders || type == kContinuation) {
    header_block_bytes_ = type == kHeaders ? length : header_block_bytes_ + length;
    if (header_block_bytes_ > max_header_block_bytes_) return false;
  }
  const int64_t tenths = price(length, type, flags);
  return tenths == 0 || limiter_->charge(tenths, now);
}

int64_t FrameScanner::price(uint32_t length, uint8_t type, uint8_t flags) {
  switch (type) {
    case kData: {
      const bool is_empty = length == 0 || ((flags & kFlagPadded) && length <= kMaxPaddingBytes);
      if (is_empty) return (flags & kFlagEndStream) ? 0 : GlitchCost::kOddFrame;
      ping_is_due_ = true;
      return 0;
    }
    case kHeaders:
      window_updates_due_ += kWindowUpdatesPerStream;
      return (flags & kFlagEndHeaders) ? 0 : GlitchCost::kOddFrame;
    case kContinuation:
      return length == 0 || !(flags & kFlagEndHeaders) ? GlitchCost::kOddFrame : 0;
    case kRstStream:
      return 0;  // priced by the connection, which knows the stream
    case kSettings:
      if ((flags & kFlagAck) || settings_are_due_) {
        settings_are_due_ = settings_are_due_ && (flags & kFlagAck);
        return 0;
      }
      return GlitchCost::kSettings;
    case kPing:
      // gRPC peers measure the round trip with a PING while data flows; more is a flood.
      if ((flags & kFlagAck) || ping_is_due_) {
        ping_is_due_ = ping_is_due_ && (flags & kFlagAck);
        return 0;
      }
      return GlitchCost::kOddFrame;
    case kWindowUpdate:
      if (window_updates_due_ == 0) return GlitchCost::kOddFrame;
      --window_updates_due_;
      return 0;
    case kGoaway:
      return GlitchCost::kOddFrame;
    default:
      return GlitchCost::kOddFrame;
  }
}

}  // namespace fastserve::http2
