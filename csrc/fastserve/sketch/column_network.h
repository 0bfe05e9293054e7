// The sorting networks of column_block.h over vectors whose lanes are columns.
//
// Every function is inlined into one that is compiled for an instruction set, whose vectors V then
// are native registers. Vectors are passed by reference alone: by value, their calling convention
// would depend on the instruction set.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastserve::sketch::network {

#define FASTSERVE_INLINE inline __attribute__((always_inline))

// kBytes of T's at the alignment of a block's rows.
template <typename T, size_t kBytes>
struct Lanes {
  typedef T Vector __attribute__((vector_size(kBytes)));                          // NOLINT
  typedef T Stored __attribute__((vector_size(kBytes), aligned(16), may_alias));  // NOLINT
  typedef T Loose __attribute__((vector_size(kBytes), aligned(4), may_alias));    // NOLINT
  static constexpr size_t kCount = kBytes / sizeof(T);

  static FASTSERVE_INLINE void load(const T* from, Vector& to) {
    to = *reinterpret_cast<const Stored*>(from);
  }
  static FASTSERVE_INLINE void store(const Vector& from, T* to) {
    *reinterpret_cast<Stored*>(to) = from;
  }
};

// smaller = min(high, low), larger = max(low, high), as the machine's instructions have it: the
// second operand wins a tie. g++ 12 makes a compare and two blends of the plain words, twice the
// work.
template <typename V>
FASTSERVE_INLINE void min_max(const V& high, const V& low, V& smaller, V& larger) {
#if defined(__x86_64__) && !defined(__clang__)
  constexpr bool kIsFloat = std::is_same_v<std::remove_cvref_t<decltype(low[0])>, float>;
  if constexpr (sizeof(V) == 16 && kIsFloat) {
    smaller = __builtin_ia32_minps(high, low);
    larger = __builtin_ia32_maxps(low, high);
  } else if constexpr (sizeof(V) == 16) {
    smaller = __builtin_ia32_minpd(high, low);
    larger = __builtin_ia32_maxpd(low, high);
  } else if constexpr (sizeof(V) == 32 && kIsFloat) {
    smaller = __builtin_ia32_minps256(high, low);
    larger = __builtin_ia32_maxps256(low, high);
  } else if constexpr (sizeof(V) == 32) {
    smaller = __builtin_ia32_minpd256(high, low);
    larger = __builtin_ia32_maxpd256(low, high);
  } else if constexpr (kIsFloat) {
    smaller = __builtin_ia32_minps512_mask(high, low, low, -1, _MM_FROUND_CUR_DIRECTION);
    larger = __builtin_ia32_maxps512_mask(low, high, low, -1, _MM_FROUND_CUR_DIRECTION);
  } else {
    smaller = __builtin_ia32_minpd512_mask(high, low, low, -1, _MM_FROUND_CUR_DIRECTION);
    larger = __builtin_ia32_maxpd512_mask(low, high, low, -1, _MM_FROUND_CUR_DIRECTION);
  }
#else
  smaller = high < low ? high : low;
  larger = low > high ? low : high;
#endif
}

template <typename V>
FASTSERVE_INLINE void order(V& low, V& high) {
  V smaller;
  V larger;
  min_max(high, low, smaller, larger);
  low = smaller;
  high = larger;
}

struct Pair {
  unsigned char low, high;
};

// Sixteen by 60 comparators, the fewest known (Green, 1969; Knuth, TAOCP 3, 5.3.4).
inline constexpr Pair kSort16[] = {
    {0, 1},   {2, 3},  {4, 5},   {6, 7},   {8, 9},   {10, 11}, {12, 13}, {14, 15}, {0, 2},  {1, 3},
    {4, 6},   {5, 7},  {8, 10},  {9, 11},  {12, 14}, {13, 15}, {0, 4},   {1, 5},   {2, 6},  {3, 7},
    {8, 12},  {9, 13}, {10, 14}, {11, 15}, {0, 8},   {1, 9},   {2, 10},  {3, 11},  {4, 12}, {5, 13},
    {6, 14},  {7, 15}, {5, 10},  {6, 9},   {3, 12},  {13, 14}, {4, 8},   {7, 11},  {1, 2},  {1, 4},
    {7, 13},  {2, 8},  {11, 14}, {2, 4},   {5, 6},   {9, 10},  {11, 13}, {3, 8},   {7, 12}, {6, 8},
    {10, 12}, {3, 5},  {7, 9},   {3, 4},   {5, 6},   {7, 8},   {9, 10},  {11, 12}, {6, 7},  {8, 9},
};
// A bitonic merge's first three steps on rows i, i + d, ..., mirrored in the second half.
inline constexpr Pair kMergeHead[] = {{0, 7}, {1, 6}, {2, 5}, {3, 4}, {0, 2}, {1, 3},
                                      {4, 6}, {5, 7}, {0, 1}, {2, 3}, {4, 5}, {6, 7}};
// Its last steps on 4, 8 or 16 rows d apart.
inline constexpr Pair kMergeTail4[] = {{0, 2}, {1, 3}, {0, 1}, {2, 3}};
inline constexpr Pair kMergeTail8[] = {{0, 4}, {1, 5}, {2, 6}, {3, 7}, {0, 2}, {1, 3},
                                       {4, 6}, {5, 7}, {0, 1}, {2, 3}, {4, 5}, {6, 7}};

template <const auto& kPairs, typename V, size_t... kIndex>
FASTSERVE_INLINE void apply(V* rows, std::index_sequence<kIndex...> /*pairs*/) {
  (order(rows[kPairs[kIndex].low], rows[kPairs[kIndex].high]), ...);
}

// Loads rows at `at[0], at[1], ...`, orders them and puts them back.
template <const auto& kPairs, size_t kRows, typename L, typename T>
FASTSERVE_INLINE void order_rows(T* const (&at)[kRows]) {
  typename L::Vector rows[kRows];
#pragma GCC unroll 16
  for (size_t i = 0; i < kRows; ++i) L::load(at[i], rows[i]);
  apply<kPairs>(rows, std::make_index_sequence<sizeof(kPairs) / sizeof(Pair)>());
#pragma GCC unroll 16
  for (size_t i = 0; i < kRows; ++i) L::store(rows[i], at[i]);
}

template <const auto& kPairs, size_t kRows, typename L, typename T>
FASTSERVE_INLINE void order_run(T* first, size_t step) {
  T* at[kRows];
#pragma GCC unroll 16
  for (size_t i = 0; i < kRows; ++i) at[i] = first + i * step;
  order_rows<kPairs, kRows, L>(at);
}

// Merges the sorted halves of kRows rows: 32, 64 or 128.
template <size_t kRows, typename L, typename T>
FASTSERVE_INLINE void merge_halves(T* first, size_t stride) {
  constexpr size_t kStep = kRows / 8;
  T* const last = first + (kRows - 1) * stride;
  for (size_t i = 0; i < kStep; ++i) {
    T* low = first + i * stride;
    T* high = last - i * stride;
    const size_t d = kStep * stride;
    T* const at[8] = {low,          low + d,      low + 2 * d, low + 3 * d,
                      high - 3 * d, high - 2 * d, high - d,    high};
    order_rows<kMergeHead, 8, L>(at);
  }
  // What is left are bitonic runs of kStep rows: 4, 8 or 16.
  for (size_t run = 0; run < kRows; run += kStep) {
    T* at = first + run * stride;
    if constexpr (kStep == 4) {
      order_run<kMergeTail4, 4, L>(at, stride);
    } else if constexpr (kStep == 8) {
      order_run<kMergeTail8, 8, L>(at, stride);
    } else {
      static_assert(kStep == 16);
      for (size_t i = 0; i < 4; ++i) order_run<kMergeTail4, 4, L>(at + i * stride, 4 * stride);
      for (size_t i = 0; i < 4; ++i) order_run<kMergeTail4, 4, L>(at + i * 4 * stride, stride);
    }
  }
}

// Sorts kRows rows of one vector each, 64 or 128 of them.
template <size_t kRows, typename L, typename T>
FASTSERVE_INLINE void sort_columns(T* block) {
  constexpr size_t stride = L::kCount;
  for (size_t i = 0; i < kRows; i += 16) {
    order_run<kSort16, 16, L>(block + i * stride, stride);
  }
  for (size_t i = 0; i < kRows; i += 32) merge_halves<32, L>(block + i * stride, stride);
  for (size_t i = 0; i < kRows; i += 64) merge_halves<64, L>(block + i * stride, stride);
  if constexpr (kRows == 128) merge_halves<128, L>(block, stride);
}

}  // namespace fastserve::sketch::network
