#include "fastserve/sketch/kll_format.h"

#include <algorithm>

namespace fastserve::sketch {
namespace {

// k (2/3)^depth, rounded in this very way: readers work out offsets from it.
uint32_t shrunk(uint64_t k, uint32_t depth) {
  if (depth > 30) return shrunk(shrunk(k, depth / 2), depth - depth / 2);
  uint64_t power_of_three = 1;
  for (uint32_t i = 0; i < depth; ++i) power_of_three *= 3;
  return static_cast<uint32_t>((((2 * k) << depth) / power_of_three + 1) / 2);
}

}  // namespace

uint32_t kll_format_capacity(uint16_t k, size_t levels, size_t level) {
  return std::max(uint32_t{kKllM}, shrunk(k, static_cast<uint32_t>(levels - level - 1)));
}

uint32_t kll_format_capacity(uint16_t k, size_t levels) {
  uint32_t total = 0;
  for (size_t level = 0; level < levels; ++level) total += kll_format_capacity(k, levels, level);
  return total;
}

}  // namespace fastserve::sketch
