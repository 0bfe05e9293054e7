// The grpc-timeout header.
#pragma once

#include <optional>
#include <string_view>

#include "fastserve/base/clock.h"

namespace fastserve::grpc {

// "<1 to 8 digits><H|M|S|m|u|n>" in nanoseconds; nothing when the text has another form.
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Timeout".
std::optional<Nanos> parse_timeout(std::string_view text);

}  // namespace fastserve::grpc
