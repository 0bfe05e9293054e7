#include "fastserve/grpc/timeout.h"

namespace fastserve::grpc {
namespace {

constexpr size_t kMaxDigits = 8;  // so 99999999 hours, the largest, is 3.6e20 ns: capped below

Nanos unit_of(char letter) {
  switch (letter) {
    case 'H':
      return 3600 * kSecond;
    case 'M':
      return 60 * kSecond;
    case 'S':
      return kSecond;
    case 'm':
      return kMillisecond;
    case 'u':
      return kMicrosecond;
    case 'n':
      return 1;
    default:
      return 0;
  }
}

}  // namespace

std::optional<Nanos> parse_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMaxDigits + 1) return std::nullopt;
  const Nanos unit = unit_of(text.back());
  if (unit == 0) return std::nullopt;
  Nanos count = 0;
  for (char digit : text.substr(0, text.size() - 1)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    count = count * 10 + (digit - '0');
  }
  return count > kNever / unit ? kNever : count * unit;
}

}  // namespace fastserve::grpc
