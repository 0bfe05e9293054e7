// Text from a client, fit to be repeated in an error message.
#pragma once

#include <string>
#include <string_view>

namespace fastserve {

// In single quotes, cut at 128 bytes, control characters replaced: an error message is one line of
// bounded length whatever the client sent.
inline std::string quoted(std::string_view text) {
  constexpr size_t kShownBytes = 128;
  std::string out = "'";
  for (const char c : text.substr(0, kShownBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  if (text.size() > kShownBytes) out += "...";
  return out += '\'';
}

}  // namespace fastserve
