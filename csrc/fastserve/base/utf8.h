// Text that is cut to a bound, but never within a character.
#pragma once

#include <cstddef>
#include <string_view>

namespace fastserve {

// How many bytes of `text` to keep: `most`, or fewer so that its last character stays whole.
inline size_t cut_between_characters(std::string_view text, size_t most) {
  if (text.size() <= most) return text.size();
  // 10xxxxxx continues a character of UTF-8.
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return most;
}

}  // namespace fastserve
