#include "fastserve/sketch/column_block.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "fastserve/sketch/column_network.h"

namespace fastserve::sketch {
namespace {

using network::Lanes;

template <typename T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();

// Copies the block's rows and counts zeros; true when every value of every lane is finite.
template <size_t kRows, typename L, typename T>
FASTSERVE_INLINE bool copy_rows(const T* block, size_t stride, T* rows, ColumnDigest* digests) {
  using V = typename L::Vector;
  const V none = {};
  decltype(none < none) zeros = {};
  decltype(none < none) finite = none == none;
  for (size_t row = 0; row < kRows; ++row) {
    V x;
    L::load(block + row * stride, x);
    zeros -= x == none;
    finite &= x - x == none;
    L::store(x, rows + row * L::kCount);
  }
  bool is_all_finite = true;
  for (size_t i = 0; i < L::kCount; ++i) {
    digests[i].zeros = static_cast<uint32_t>(zeros[i]);
    is_all_finite &= finite[i] != 0;
  }
  return is_all_finite;
}

// Counts what is not a finite value and puts +infinity in its place.
template <size_t kRows, typename L, typename T>
FASTSERVE_INLINE void replace_gaps(T* rows, ColumnDigest* digests) {
  using V = typename L::Vector;
  const V none = {};
  decltype(none < none) missing = {};
  decltype(none < none) infinite = {};
  for (size_t row = 0; row < kRows; ++row) {
    V x;
    L::load(rows + row * L::kCount, x);
    const auto is_nan = x != x;
    const auto is_finite = x - x == none;
    missing -= is_nan;
    infinite -= ~is_finite & ~is_nan;
    x = is_finite ? x : none + kInfinity<T>;
    L::store(x, rows + row * L::kCount);
  }
  for (size_t i = 0; i < L::kCount; ++i) {
    digests[i].missing = static_cast<uint32_t>(missing[i]);
    digests[i].infinite = static_cast<uint32_t>(infinite[i]);
  }
}

// Mean and M2 of the sorted columns, about their medians: whatever the data, a median is within a
// deviation of the mean, so nothing is lost to cancellation. In double, so that no square of a
// float overflows. L: as many lanes of double as make a register.
template <size_t kRows, bool kHasGaps, typename T, typename L>
FASTSERVE_INLINE void add_up(const T* block, size_t stride, ColumnDigest* digests) {
  using V = typename L::Vector;
  using Narrow = Lanes<T, sizeof(T) * L::kCount>;
  V center;
  for (size_t i = 0; i < L::kCount; ++i) {
    center[i] = static_cast<double>(block[digests[i].finite / 2 * stride + i]);
  }
  V sum = {};
  V squares = {};
  for (size_t row = 0; row < kRows; ++row) {
    V x;
    if constexpr (std::is_same_v<T, double>) {
      L::load(block + row * stride, x);
    } else {
      x = __builtin_convertvector(
          *reinterpret_cast<const typename Narrow::Loose*>(block + row * stride), V);
    }
    V delta = x - center;
    if constexpr (kHasGaps) {
      const V none = {};
      delta = x < none + kInfinity<double> ? delta : none;
    }
    sum += delta;
    squares += delta * delta;
  }
  for (size_t i = 0; i < L::kCount; ++i) {
    const auto n = static_cast<double>(digests[i].finite);
    if (n == 0) continue;
    digests[i].mean = center[i] + sum[i] / n;
    digests[i].m2 = std::max(0.0, squares[i] - sum[i] * sum[i] / n);
  }
}

template <typename T, size_t kBytes>
FASTSERVE_INLINE void sort_lanes(const T* block, size_t stride, SortedColumns<T>* sorted) {
  constexpr size_t kRows = kBlockRows<T>;
  using L = Lanes<T, kBytes>;
  using Wide = Lanes<double, std::min(kBytes, sizeof(double) * L::kCount)>;
  sorted->lanes = L::kCount;
  ColumnDigest* digests = sorted->digests;
  for (size_t i = 0; i < L::kCount; ++i) digests[i] = ColumnDigest{};
  const bool is_all_finite = copy_rows<kRows, L>(block, stride, sorted->values, digests);
  if (!is_all_finite) replace_gaps<kRows, L>(sorted->values, digests);
  for (size_t i = 0; i < L::kCount; ++i) {
    digests[i].finite = static_cast<uint32_t>(kRows) - digests[i].missing - digests[i].infinite;
  }
  network::sort_columns<kRows, L>(sorted->values);
  for (size_t i = 0; i < L::kCount; i += Wide::kCount) {
    if (is_all_finite) {
      add_up<kRows, false, T, Wide>(sorted->values + i, L::kCount, digests + i);
    } else {
      add_up<kRows, true, T, Wide>(sorted->values + i, L::kCount, digests + i);
    }
  }
}

// In a register of kBytes where there are that many columns left, else in a smaller one.
template <typename T, size_t kBytes>
FASTSERVE_INLINE void sort_columns_from(const T* block, size_t stride, size_t column,
                                        SortedColumns<T>* sorted) {
  const size_t left_bytes = (stride - column) * sizeof(T);
  if constexpr (kBytes >= 64) {
    if (left_bytes >= 64) return sort_lanes<T, 64>(block + column, stride, sorted);
  }
  if constexpr (kBytes >= 32) {
    if (left_bytes >= 32) return sort_lanes<T, 32>(block + column, stride, sorted);
  }
  (void)left_bytes;
  sort_lanes<T, 16>(block + column, stride, sorted);
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) void sort_with_avx2(const T* block, size_t stride, size_t column,
                                                    SortedColumns<T>* sorted) {
  sort_columns_from<T, 32>(block, stride, column, sorted);
}
template <typename T>
__attribute__((target("avx512f,avx512dq,avx512vl"))) void sort_with_avx512(
    const T* block, size_t stride, size_t column, SortedColumns<T>* sorted) {
  sort_columns_from<T, 64>(block, stride, column, sorted);
}
#endif

}  // namespace

Instructions widest_instructions() {
#if defined(__x86_64__)
  static const Instructions widest = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      return Instructions::kAvx512;
    }
    return __builtin_cpu_supports("avx2") ? Instructions::kAvx2 : Instructions::kBaseline;
  }();
  return widest;
#else
  return Instructions::kBaseline;
#endif
}

template <typename T>
void sort_block_columns(const T* block, size_t stride, size_t column, SortedColumns<T>* sorted,
                        Instructions instructions) {
#if defined(__x86_64__)
  if (instructions == Instructions::kAvx512) {
    return sort_with_avx512(block, stride, column, sorted);
  }
  if (instructions == Instructions::kAvx2) return sort_with_avx2(block, stride, column, sorted);
#endif
  (void)instructions;
  sort_columns_from<T, 16>(block, stride, column, sorted);
}

template <typename T>
ColumnDigest sort_column(T* values, size_t count) {
  ColumnDigest digest;
  for (size_t i = 0; i < count; ++i) {
    const T x = values[i];
    if (std::isnan(x)) {
      ++digest.missing;
    } else if (std::isinf(x)) {
      ++digest.infinite;
    } else {
      digest.zeros += x == 0 ? 1 : 0;
      values[digest.finite++] = x;
    }
  }
  std::sort(values, values + digest.finite);
  if (digest.finite == 0) return digest;
  const auto center = static_cast<double>(values[digest.finite / 2]);
  double sum = 0;
  double squares = 0;
  for (size_t i = 0; i < digest.finite; ++i) {
    const double delta = static_cast<double>(values[i]) - center;
    sum += delta;
    squares += delta * delta;
  }
  const auto n = static_cast<double>(digest.finite);
  digest.mean = center + sum / n;
  digest.m2 = std::max(0.0, squares - sum * sum / n);
  return digest;
}

template void sort_block_columns(const float*, size_t, size_t, SortedColumns<float>*, Instructions);
template void sort_block_columns(const double*, size_t, size_t, SortedColumns<double>*,
                                 Instructions);
template ColumnDigest sort_column(float*, size_t);
template ColumnDigest sort_column(double*, size_t);

}  // namespace fastserve::sketch
