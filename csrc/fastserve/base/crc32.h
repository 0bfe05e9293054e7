// CRC-32 as zlib, PNG and Ethernet have it (reflected polynomial 0xEDB88320): finds every burst of
// up to 32 damaged bits, and is at hand in every language for who reads our files.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "fastserve/base/bytes.h"

namespace fastserve {

namespace crc32_detail {

// tables[k][b]: what byte b does to the sum when k more bytes follow, so that eight are one step.
constexpr std::array<std::array<uint32_t, 256>, 8> make_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0xEDB88320U : 0U);
    tables[0][byte] = sum;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

inline constexpr auto kTables = make_tables();

}  // namespace crc32_detail

inline uint32_t crc32(ByteSpan bytes) {
  const auto& tables = crc32_detail::kTables;
  uint32_t sum = ~0U;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t eight;
    std::memcpy(&eight, at, sizeof(eight));
    eight ^= sum;
    sum = 0;
    for (size_t i = 0; i < 8; ++i) sum ^= tables[7 - i][(eight >> (8 * i)) & 0xff];
  }
  for (; left > 0; --left, ++at) {
    sum = (sum >> 8) ^ tables[0][(sum ^ static_cast<uint32_t>(*at)) & 0xff];
  }
  return ~sum;
}

}  // namespace fastserve
