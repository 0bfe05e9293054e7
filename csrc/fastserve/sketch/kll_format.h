// The compact serial format of Apache DataSketches' KLL sketches (kll_sketch.hpp there says it):
//
//   0  preamble ints u8   2 when empty or a single item, else 5
//   1  serial version u8  2 for a single item, else 1
//   2  family u8          15
//   3  flags u8           1 empty, 2 level zero sorted, 4 single item
//   4  k u16
//   6  m u8               8
//   7  unused
//   8  n u64, min k u16, levels u8, unused u8, levels x u32, minimum, maximum, items
//
// Each level's offset counts from the front of an array of `kll_format_capacity` items that is full
// at its end. After 8 bytes an empty sketch ends, and a single item follows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastserve::sketch {

inline constexpr uint8_t kKllFamily = 15;
inline constexpr uint8_t kKllM = 8;
inline constexpr uint8_t kKllEmpty = 1;
inline constexpr uint8_t kKllSorted = 2;
inline constexpr uint8_t kKllSingle = 4;
// Counts are below 2^60, so that no sum of two overflows.
inline constexpr uint64_t kMaxCount = uint64_t{1} << 60;
inline constexpr size_t kMaxKllLevels = 60;

// Items that a sketch of so many levels may hold, and those of one of its levels.
uint32_t kll_format_capacity(uint16_t k, size_t levels);
uint32_t kll_format_capacity(uint16_t k, size_t levels, size_t level);

}  // namespace fastserve::sketch
