#include "fastserve/sketch/projection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "fastserve/sketch/column_block.h"
#include "fastserve/sketch/column_network.h"
#include "fastserve/sketch/random.h"
#include "fastserve/tensor/half.h"

namespace fastserve::sketch {
namespace {

using network::Lanes;

// Elements are added up in chunks in their own precision, chunks in double.
constexpr size_t kChunk = 1024;
// Whatever the registers, element i of a chunk is added to sum i % kSums, so that results are the
// same.
constexpr size_t kSums = 16;
constexpr size_t kGroup = 32;  // elements whose signs are one word
// Part of the format: a change makes references and live rows incomparable.
constexpr uint64_t kSignSeed = 0x5369676e73;

struct Signs {
  uint32_t words[kProjections][kChunk / kGroup];
};

struct Sums {
  double sum = 0;
  double squares = 0;
  double projections[kProjections] = {};
};

void make_signs(size_t first_element, size_t elements, Signs* signs) {
  static_assert(kProjections == 4);
  const uint64_t first_group = first_element / kGroup;
  for (size_t group = 0; group * kGroup < elements; ++group) {
    const uint64_t number = 2 * (first_group + group);
    const uint64_t low = mix(kSignSeed + number);
    const uint64_t high = mix(kSignSeed + number + 1);
    signs->words[0][group] = static_cast<uint32_t>(low);
    signs->words[1][group] = static_cast<uint32_t>(low >> 32);
    signs->words[2][group] = static_cast<uint32_t>(high);
    signs->words[3][group] = static_cast<uint32_t>(high >> 32);
  }
}

// `elements` are a multiple of kGroup.
template <typename T, size_t kBytes>
FASTSERVE_INLINE void add_chunk(const T* chunk, size_t elements, const Signs& signs, Sums* sums) {
  using L = Lanes<T, kBytes>;
  using V = typename L::Vector;
  using Bits = decltype(V{} < V{});
  using Word = std::remove_cvref_t<decltype(Bits{}[0])>;
  constexpr Word kSignBit = std::numeric_limits<Word>::min();
  for (size_t first = 0; first < kSums; first += L::kCount) {
    V sum = {};
    V squares = {};
    V projections[kProjections] = {};
    for (size_t half = 0; half < kGroup; half += kSums) {
      Bits bit;
      for (size_t i = 0; i < L::kCount; ++i) bit[i] = Word{1} << (half + first + i);
      for (size_t at = half + first, group = 0; at < elements; at += kGroup, ++group) {
        V x;
        L::load(chunk + at, x);
        sum += x;
        squares += x * x;
        for (size_t j = 0; j < kProjections; ++j) {
          const Bits word = Bits{} + static_cast<Word>(signs.words[j][group]);
          const Bits is_negative = (word & bit) != Bits{};
          projections[j] += (V)((Bits)x ^ (is_negative & kSignBit));
        }
      }
    }
    for (size_t i = 0; i < L::kCount; ++i) {
      sums->sum += sum[i];
      sums->squares += squares[i];
      for (size_t j = 0; j < kProjections; ++j) sums->projections[j] += projections[j][i];
    }
  }
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) void add_with_avx2(const T* chunk, size_t elements,
                                                   const Signs& signs, Sums* sums) {
  add_chunk<T, 32>(chunk, elements, signs, sums);
}
#endif

// AVX-512 would be bound by memory; AVX2 nearly is.
template <typename T>
Sums sums_of(const T* chunk, size_t elements, const Signs& signs) {
  Sums sums;
#if defined(__x86_64__)
  if (widest_instructions() >= Instructions::kAvx2) {
    add_with_avx2(chunk, elements, signs, &sums);
    return sums;
  }
#endif
  add_chunk<T, 16>(chunk, elements, signs, &sums);
  return sums;
}

template <typename From, typename To>
void convert(const std::byte* row, size_t elements, To* chunk) {
  for (size_t i = 0; i < elements; ++i) {
    From value;
    std::memcpy(&value, row + i * sizeof(From), sizeof(From));
    chunk[i] = static_cast<To>(value);
  }
}

void load_chunk(DType dtype, const std::byte* row, size_t elements, float* chunk) {
  switch (dtype) {
    case DType::kFp32:
      std::memcpy(chunk, row, elements * sizeof(float));
      return;
    case DType::kFp16:
      return floats_from_halves(row, elements, chunk);
    case DType::kBf16:
      return floats_from_bfloats(row, elements, chunk);
    case DType::kBool:
      for (size_t i = 0; i < elements; ++i) chunk[i] = row[i] == std::byte{0} ? 0.0F : 1.0F;
      return;
    case DType::kUint8:
      return convert<uint8_t>(row, elements, chunk);
    case DType::kUint16:
      return convert<uint16_t>(row, elements, chunk);
    case DType::kUint32:
      return convert<uint32_t>(row, elements, chunk);
    case DType::kUint64:
      return convert<uint64_t>(row, elements, chunk);
    case DType::kInt8:
      return convert<int8_t>(row, elements, chunk);
    case DType::kInt16:
      return convert<int16_t>(row, elements, chunk);
    case DType::kInt32:
      return convert<int32_t>(row, elements, chunk);
    default:
      return convert<int64_t>(row, elements, chunk);
  }
}

void load_chunk(DType /*dtype*/, const std::byte* row, size_t elements, double* chunk) {
  std::memcpy(chunk, row, elements * sizeof(double));
}

template <typename T>
Sums sums_of_row(DType dtype, const std::byte* row, size_t elements) {
  alignas(64) T chunk[kChunk];
  Signs signs;
  Sums total;
  for (size_t first = 0; first < elements; first += kChunk) {
    const size_t count = std::min(kChunk, elements - first);
    const size_t padded = (count + kGroup - 1) / kGroup * kGroup;
    load_chunk(dtype, row + first * dtype_size(dtype), count, chunk);
    std::fill(chunk + count, chunk + padded, T{0});
    make_signs(first, padded, &signs);
    Sums sums = sums_of(chunk, padded, signs);
    if constexpr (sizeof(T) == sizeof(float)) {
      // The square of a large float is beyond float: once more in double, which holds it.
      if (!std::isfinite(sums.squares)) {
        alignas(64) double wide[kChunk];
        std::copy(chunk, chunk + padded, wide);
        sums = sums_of(wide, padded, signs);
      }
    }
    total.sum += sums.sum;
    total.squares += sums.squares;
    for (size_t j = 0; j < kProjections; ++j) total.projections[j] += sums.projections[j];
  }
  return total;
}

}  // namespace

void derive_row(DType dtype, const std::byte* row, size_t elements,
                double derived[kDerivedFeatures]) {
  const Sums sums = dtype == DType::kFp64 ? sums_of_row<double>(dtype, row, elements)
                                          : sums_of_row<float>(dtype, row, elements);
  const auto n = static_cast<double>(elements);
  derived[0] = std::sqrt(sums.squares);
  derived[1] = sums.sum / n;
  for (size_t j = 0; j < kProjections; ++j) derived[2 + j] = sums.projections[j] / std::sqrt(n);
}

}  // namespace fastserve::sketch
