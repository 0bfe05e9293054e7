// Message encodings: identity, deflate (the zlib format) and gzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"

namespace fastserve::grpc {

enum class Encoding : uint8_t { kIdentity, kDeflate, kGzip, kUnknown };

inline constexpr std::string_view kAcceptedEncodings = "identity, deflate, gzip";

// The value of grpc-encoding; an absent header (empty text) is identity.
Encoding parse_encoding(std::string_view text);
// Whether the list of grpc-accept-encoding names `name`.
bool accepts_encoding(std::string_view list, std::string_view name);

// Inflates one message into *message, its end 16-byte aligned. The limit is checked while
// inflating, and a gzip trailer that announces more than the limit is refused before any work.
// Errors: kResourceExhausted over the limit; kInternal when the bytes are not one whole stream.
Status inflate_message(ByteSpan wire, Encoding encoding, size_t max_bytes, Buffer* message);

// Deflates framed[headroom...] as gzip behind `headroom` unwritten bytes. False, with *out
// untouched, when that does not make it smaller.
bool gzip_message(ByteSpan framed, size_t headroom, Buffer* out);

}  // namespace fastserve::grpc
