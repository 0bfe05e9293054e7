#include "fastserve/sketch/distinct_count.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "fastserve/sketch/byte_cursor.h"

namespace fastserve::sketch {
namespace {

constexpr uint8_t kMaxValue = 63;

// Preamble of DataSketches' HLL_8 in HLL mode (HllUtil.hpp there names the bytes).
constexpr uint8_t kPreambleInts = 10;
constexpr uint8_t kSerialVersion = 1;
constexpr uint8_t kFamily = 7;
constexpr uint8_t kCompact = 8;
constexpr uint8_t kOutOfOrder = 16;
constexpr uint8_t kModeHll8 = 0x0a;

struct Preamble {
  uint8_t ints = kPreambleInts;
  uint8_t version = kSerialVersion;
  uint8_t family = kFamily;
  uint8_t lg_registers = DistinctCount::kLgRegisters;
  uint8_t lg_aux = 0;
  uint8_t flags = kCompact | kOutOfOrder;
  uint8_t current_minimum = 0;
  uint8_t mode = kModeHll8;
  double hip = 0;   // the running estimate, not kept
  double kxq0 = 0;  // sum of 2^-register, of registers below 32
  double kxq1 = 0;  // and of the others
  uint32_t zeros = 0;
  uint32_t aux_count = 0;
};
static_assert(sizeof(Preamble) == DistinctCount::kSerialBytes - DistinctCount::kRegisters);

Preamble preamble_of(const std::array<uint8_t, DistinctCount::kRegisters>& registers) {
  Preamble preamble;
  for (const uint8_t value : registers) {
    (value < 32 ? preamble.kxq0 : preamble.kxq1) += std::ldexp(1.0, -value);
    preamble.zeros += value == 0 ? 1 : 0;
  }
  return preamble;
}

// Ertl's corrections for registers that are still zero, and for those that can rise no more.
double sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double y = 1;
  double z = x;
  for (double before = -1; z != before; y += y) {
    x *= x;
    before = z;
    z += x * y;
  }
  return z;
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  for (double before = -1; z != before;) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

}  // namespace

DistinctCount::Coupon DistinctCount::coupon(uint64_t h1, uint64_t h2) {
  const int zeros = std::min(std::countl_zero(h2), kMaxValue - 1);
  return {static_cast<uint16_t>(h1 % kRegisters), static_cast<uint8_t>(zeros + 1)};
}

void DistinctCount::merge(const DistinctCount& other) {
  for (size_t i = 0; i < kRegisters; ++i) {
    registers_[i] = std::max(registers_[i], other.registers_[i]);
  }
}

double DistinctCount::estimate() const {
  std::array<uint32_t, kMaxValue + 1> histogram = {};
  for (const uint8_t value : registers_) ++histogram[value];
  constexpr double kCount = kRegisters;
  double z = kCount * tau(1 - histogram[kMaxValue] / kCount);
  for (int value = kMaxValue - 1; value >= 1; --value) z = 0.5 * (z + histogram[value]);
  z += kCount * sigma(histogram[0] / kCount);
  return kCount * kCount / (2 * std::log(2.0)) / z;
}

void DistinctCount::serialize(std::string* out) const {
  const Preamble preamble = preamble_of(registers_);
  out->append(reinterpret_cast<const char*>(&preamble), sizeof(preamble));
  out->append(reinterpret_cast<const char*>(registers_.data()), registers_.size());
}

Result<DistinctCount> DistinctCount::parse(ByteSpan bytes) {
  if (bytes.size() != kSerialBytes) {
    return invalid_argument("distinct count: has " + std::to_string(bytes.size()) +
                            " bytes, expected " + std::to_string(kSerialBytes));
  }
  DistinctCount count;
  std::memcpy(count.registers_.data(), bytes.data() + sizeof(Preamble), kRegisters);
  if (*std::max_element(count.registers_.begin(), count.registers_.end()) > kMaxValue) {
    return invalid_argument("distinct count: a register is above " + std::to_string(kMaxValue));
  }
  const Preamble expected = preamble_of(count.registers_);
  if (std::memcmp(bytes.data(), &expected, sizeof(expected)) != 0) {
    return invalid_argument("distinct count: its preamble does not fit its registers");
  }
  return count;
}

}  // namespace fastserve::sketch
