#include "fastserve/http2/request_shape.h"

#include <charconv>

namespace fastserve::http2 {

bool RequestShape::declare(std::string_view value) {
  const char* const end = value.data() + value.size();
  const auto [stopped, error] = std::from_chars(value.data(), end, declared_bytes_);
  return error == std::errc() && stopped == end && declared_bytes_ != kNotDeclared;
}

bool RequestShape::end_headers() {
  const unsigned seen = seen_;
  seen_ |= kRegular;
  if (seen & kConnect) return (seen & (kScheme | kPath)) == 0 && (seen & kAuthority) != 0;
  constexpr unsigned kNeeded = kMethod | kScheme | kPath;
  if ((seen & kNeeded) != kNeeded || (seen & (kAuthority | kHost)) == 0) return false;
  // Other schemes have their own ideas of a path.
  if ((seen & kHttp) == 0 || (seen & (kOddPath | kAsterisk)) == 0) return true;
  return (seen & kAsterisk) != 0 && (seen & kOptions) != 0;
}

}  // namespace fastserve::http2
