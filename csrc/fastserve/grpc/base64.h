// Base64 of RFC 4648 section 4, as "-bin" metadata carries it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fastserve::grpc {

// Without padding, which is what gRPC asks senders for.
std::string base64_encode(std::string_view bytes);

// With or without padding. Nothing when a character is outside the alphabet, the padding is wrong
// or the length cannot be.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace fastserve::grpc
