// Names from a request, as error messages show them.
#pragma once

#include <string>
#include <string_view>

#include "fastserve/base/utf8.h"

namespace fastserve::wire {

// 'name', cut at 64 bytes (on a character's boundary): the message travels in an HTTP/2 header.
inline std::string quoted(std::string_view name) {
  constexpr size_t kMaxBytes = 64;
  if (name.size() <= kMaxBytes) return "'" + std::string(name) + "'";
  const size_t cut = cut_between_characters(name, kMaxBytes);
  return "'" + std::string(name.substr(0, cut)) + "...'";
}

}  // namespace fastserve::wire
