#include "fastserve/tensor/half.h"

#include <cstring>

namespace fastserve {

void floats_from_halves(const std::byte* halves, size_t count, float* floats) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t half;
    std::memcpy(&half, halves + i * sizeof(half), sizeof(half));
    // Exponent and mantissa as they are, then 2^112 more for the other bias: right for subnormals
    // too, whose float form the multiplication normalises. What was infinite or NaN stays so.
    const uint32_t magnitude = (half & 0x7fffU) << 13;
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;
    const uint32_t special = magnitude >= 0x0f800000U ? 0x7f800000U : 0U;
    const uint32_t sign = (half & 0x8000U) << 16;
    floats[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special | sign);
  }
}

void floats_from_bfloats(const std::byte* bfloats, size_t count, float* floats) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t bfloat;
    std::memcpy(&bfloat, bfloats + i * sizeof(bfloat), sizeof(bfloat));
    floats[i] = float_from_bfloat(bfloat);
  }
}

}  // namespace fastserve
