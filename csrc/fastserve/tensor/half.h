// FP16 and BF16 to and from float, for the few places that look into tensors.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fastserve/base/bytes.h"
#include "fastserve/tensor/dtype.h"

namespace fastserve {

inline float float_from_bfloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
// Rounds toward zero.
inline uint16_t bfloat_from_float(float value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

inline float float_from_half(uint16_t bits) {
  int exponent = (bits >> 10) & 0x1f;
  int mantissa = bits & 0x3ff;
  float magnitude;
  if (exponent == 0x1f) {
    magnitude = mantissa == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa | 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}
// Rounds toward zero; what is too small becomes zero, what is too large the largest finite value.
inline uint16_t half_from_float(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  int exponent = static_cast<int>((bits >> 23) & 0xff) - 127 + 15;
  if (exponent <= 0) return sign;
  if (exponent >= 0x1f) return sign | 0x7bff;
  return static_cast<uint16_t>(sign | (exponent << 10) | ((bits >> 13) & 0x3ff));
}

// The element at `at`. Only where is_floating(dtype).
inline double floating_at(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::kFp16:
      return float_from_half(load<uint16_t>(at));
    case DType::kBf16:
      return float_from_bfloat(load<uint16_t>(at));
    case DType::kFp32:
      return load<float>(at);
    default:
      return load<double>(at);
  }
}

// Runs of them, of any alignment, as fast as memory: without a branch for each value.
void floats_from_halves(const std::byte* halves, size_t count, float* floats);
void floats_from_bfloats(const std::byte* bfloats, size_t count, float* floats);

}  // namespace fastserve
