// Names from a request, as error messages show them.
#pragma once

#include <string>
#include <string_view>

namespace fastserve::wire {

// 'name', cut at 64 bytes (on a character's boundary): the message travels in an HTTP/2 header.
inline std::string quoted(std::string_view name) {
  constexpr size_t kMaxBytes = 64;
  if (name.size() <= kMaxBytes) return "'" + std::string(name) + "'";
  size_t cut = kMaxBytes;
  while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) --cut;
  return "'" + std::string(name.substr(0, cut)) + "...'";
}

}  // namespace fastserve::wire
