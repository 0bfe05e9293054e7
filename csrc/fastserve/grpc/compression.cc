#include "fastserve/grpc/compression.h"

#include <zlib.h>

#include <algorithm>
#include <string>

namespace fastserve::grpc {
namespace {

// zlib's windowBits: 15 for the zlib format, 16 more for the gzip format.
constexpr int kZlibBits = 15;
constexpr int kGzipBits = 15 + 16;
constexpr size_t kGzipMinBytes = 18;       // header and trailer (RFC 1952)
constexpr size_t kStepBytes = 64 * 1024;   // inflated between two looks at the limit
constexpr size_t kMaxDeflateRatio = 1032;  // of zlib, https://zlib.net/zlib_tech.html

Status too_large(size_t max_bytes) {
  return {Code::kResourceExhausted, "message inflates to more than the limit of " +
                                        std::to_string(max_bytes) +
                                        " bytes; send smaller messages"};
}

Status malformed(std::string_view what) {
  return {Code::kInternal, "compressed message is malformed: " + std::string(what)};
}

// The size that a gzip stream says it inflates to, modulo 2^32 (RFC 1952, ISIZE).
size_t announced_size(ByteSpan wire) {
  size_t size = 0;
  for (size_t i = 0; i < 4; ++i) {
    size |= static_cast<size_t>(wire[wire.size() - 4 + i]) << (8 * i);
  }
  return size;
}

struct InflateStream {
  explicit InflateStream(int window_bits) { ok = inflateInit2(&z, window_bits) == Z_OK; }
  ~InflateStream() {
    if (ok) inflateEnd(&z);
  }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  z_stream z{};
  bool ok = false;
};

// Appends the whole stream to *out; stops as soon as that is more than `max_bytes`.
Status inflate_all(ByteSpan wire, int window_bits, size_t max_bytes, bool* over, Buffer* out) {
  *over = false;
  InflateStream stream(window_bits);
  if (!stream.ok) return {Code::kInternal, "zlib has no memory"};
  stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(wire.data()));
  stream.z.avail_in = static_cast<uInt>(wire.size());
  for (;;) {
    const size_t had = out->size();
    const size_t step = std::min(kStepBytes, max_bytes + 1 - had);
    stream.z.next_out = reinterpret_cast<Bytef*>(out->extend(step));
    stream.z.avail_out = static_cast<uInt>(step);
    const int code = ::inflate(&stream.z, Z_NO_FLUSH);
    out->truncate(had + step - stream.z.avail_out);
    if (out->size() > max_bytes) {
      *over = true;
      return ok_status();
    }
    if (code == Z_STREAM_END) break;
    if (code == Z_BUF_ERROR || (code == Z_OK && stream.z.avail_in == 0 && stream.z.avail_out > 0)) {
      return malformed("the stream ends too early");
    }
    if (code != Z_OK) return malformed(stream.z.msg == nullptr ? "zlib error" : stream.z.msg);
  }
  if (stream.z.avail_in > 0) return malformed("bytes follow the end of the stream");
  return ok_status();
}

Status inflate_gzip(ByteSpan wire, size_t max_bytes, Buffer* message) {
  if (wire.size() < kGzipMinBytes) return malformed("shorter than a gzip header and trailer");
  const size_t announced = announced_size(wire);
  // A trailer that cannot be true is not worth the work; one that can is exact or an error.
  if (announced / kMaxDeflateRatio > wire.size()) {
    return malformed("the size in its gzip trailer is impossible");
  }
  if (announced > max_bytes) return too_large(max_bytes);
  message->reserve_message(announced, std::min(announced + 1, kStepBytes));
  bool over = false;
  Status status = inflate_all(wire, kGzipBits, announced, &over, message);
  if (!status.ok()) return status;
  if (over || message->size() != announced) {
    return malformed("it inflates to another size than its gzip trailer says");
  }
  return ok_status();
}

Status inflate_zlib(ByteSpan wire, size_t max_bytes, Buffer* message) {
  // The zlib format does not say the size, so the bytes move once more to align their end.
  Buffer inflated;
  bool over = false;
  Status status = inflate_all(wire, kZlibBits, max_bytes, &over, &inflated);
  if (!status.ok()) return status;
  if (over) return too_large(max_bytes);
  message->reserve_message(inflated.size(), inflated.size());
  message->append(inflated.bytes());
  return ok_status();
}

}  // namespace

Encoding parse_encoding(std::string_view text) {
  if (text.empty() || text == "identity") return Encoding::kIdentity;
  if (text == "gzip") return Encoding::kGzip;
  if (text == "deflate") return Encoding::kDeflate;
  return Encoding::kUnknown;
}

bool accepts_encoding(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (item == name) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

Status inflate_message(ByteSpan wire, Encoding encoding, size_t max_bytes, Buffer* message) {
  return encoding == Encoding::kGzip ? inflate_gzip(wire, max_bytes, message)
                                     : inflate_zlib(wire, max_bytes, message);
}

bool gzip_message(ByteSpan framed, size_t headroom, Buffer* out) {
  const ByteSpan plain = framed.subspan(headroom);
  z_stream z{};
  // Fast and light: answers are compressed on the io thread.
  if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, kGzipBits, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return false;
  }
  Buffer packed;
  packed.extend(headroom);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data()));
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.extend(plain.size()));
  z.avail_out = static_cast<uInt>(plain.size());
  const bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
  packed.truncate(packed.size() - z.avail_out);
  deflateEnd(&z);
  if (!done || packed.size() >= framed.size()) return false;
  out->swap(packed);
  return true;
}

}  // namespace fastserve::grpc
