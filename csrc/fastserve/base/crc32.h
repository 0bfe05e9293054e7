// CRC-32 as zlib, PNG and Ethernet have it: finds every burst of up to 32 damaged bits, and is at
// hand in every language for who reads our files.
#pragma once

#include <zlib.h>

#include <cstdint>

#include "fastserve/base/bytes.h"

namespace fastserve {

inline uint32_t crc32(ByteSpan bytes) {
  // Without an address zlib gives the sum to start from: that of no bytes.
  return static_cast<uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace fastserve
