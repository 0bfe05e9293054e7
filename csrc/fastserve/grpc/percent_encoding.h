// The encoding of grpc-message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fastserve::grpc {

// Bytes 0x20 to 0x7E but '%' stand for themselves, all others become %XX with upper-case digits.
// The result is at most `max_bytes` long; what does not fit is left out from the end, whole UTF-8
// sequences at a time.
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Status-Message".
std::string percent_encode(std::string_view message, size_t max_bytes);

}  // namespace fastserve::grpc
