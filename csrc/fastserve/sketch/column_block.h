// A block of rows, all of whose columns are sorted at once.
//
// Idea. Sorting is most of what a quantile sketch costs. A sorting network compares the same pairs
// whatever the data, so the lanes of a vector can be columns: one min and one max put two rows of 8
// (AVX2) or 16 (AVX-512) features in order. A block of 128 rows takes 13.4 such pairs for each row,
// under 2 cycles a value with AVX2; std::sort takes 60 or more, most of it mispredicted branches.
//
// Network. Eight rows in registers by the 19 comparators that are known to be fewest (Knuth, TAOCP
// 3, 5.3.4), then bitonic merges (Batcher, "Sorting Networks and Their Applications", 1968), two or
// three of their steps for each time that rows are loaded and stored. Batcher's odd-even merge has
// 14 % fewer comparators, but does not fall into such steps of equal shape.
//
// Layout. Rows as they arrive: block[row * stride + column], stride a multiple of 16 bytes. A
// register full of columns at a time is copied out and sorted: neighbours in the copy are
// neighbours in cache, where a stride of 512 bytes would put all rows into the same few sets. The
// block of a feature has 512 bytes: 128 rows of float or 64 of double.
//
// NaN has no place in an order: what is not finite is counted, replaced by +infinity and so sorted
// behind the finite values.
//
// The widest instruction set that the machine has is chosen at run time; results do not depend on
// it: every column is added up in the order of its sorted rows, and no product is fused with a sum.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastserve::sketch {

template <typename T>
inline constexpr size_t kBlockRows = 512 / sizeof(T);
// Elements from one row of a block to the next.
template <typename T>
constexpr size_t block_stride(size_t columns) {
  constexpr size_t kStep = 16 / sizeof(T);
  return (columns + kStep - 1) / kStep * kStep;
}
// The most columns that are sorted at once.
template <typename T>
inline constexpr size_t kMaxLanes = 64 / sizeof(T);

// What a block says about one of its columns.
struct ColumnDigest {
  uint32_t finite = 0;  // the sorted column's first so many rows
  uint32_t missing = 0;
  uint32_t infinite = 0;
  uint32_t zeros = 0;
  double mean = 0;  // of the finite values, as m2
  double m2 = 0;    // sum of squared deviations from the mean
};

enum class Instructions : uint8_t { kBaseline, kAvx2, kAvx512 };
// The widest that this machine has.
Instructions widest_instructions();

// Columns in order: value `row` of column `i` is values[row * lanes + i].
template <typename T>
struct SortedColumns {
  size_t lanes = 0;  // how many there are
  alignas(64) T values[kBlockRows<T> * kMaxLanes<T>];
  ColumnDigest digests[kMaxLanes<T>];
};

// Sorts and describes the columns of a full block from `column` on, which is below `stride` and
// where the call before ended: as many as make a register. `block` is 16-byte aligned.
template <typename T>
void sort_block_columns(const T* block, size_t stride, size_t column, SortedColumns<T>* sorted,
                        Instructions instructions = widest_instructions());

// The same for one column of any number of values, one after the other, in place; for blocks that
// are not full.
template <typename T>
ColumnDigest sort_column(T* values, size_t count);

}  // namespace fastserve::sketch
