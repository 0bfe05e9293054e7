// QuantileSketch: ranks and quantiles of a stream of numbers in a few hundred of its items.
//
// Idea. The sketch is a stack of levels; an item of level h stands for 2^h items of the stream. A
// level that is full is compacted: of its sorted items every second one, odd or even by a coin,
// goes one level up and counts double. What a compaction does to the rank of any value is at most
// the weight of one item, with mean zero; so errors of many compactions largely cancel.
//
// Paper. Karnin, Lang, Liberty, "Optimal Quantile Approximation in Streams" (FOCS 2016), called
// KLL. Capacities shrink by 2/3 from the top level down, at least 8; compaction is lazy: it happens
// only when the whole sketch is full, to the lowest level that is. This is the variant of Apache
// DataSketches, whose serial format (compact, family 15) this class reads and writes, byte for
// byte.
//
// Error. With 99 % confidence the rank of one value is off by at most `rank_error(k)`, a share of
// the count: 2.296 / k^0.9723 (the figure that DataSketches measured and publishes), which is 1.33
// % for k = 200 and 2.61 % for k = 100. The share between two values is off by at most 2.446 /
// k^0.9433. The bound holds after any number of merges. Minimum and maximum are exact, and while
// nothing was compacted (about k items) everything is.
//
// Blocks. Numbers come as sorted blocks (column_block.h). When the sketch is tall, a block of 2^b
// sorted items enters at level s > 0: of every 2^s neighbours one is kept, all at the same random
// place. Its error is that of one compaction of weight 2^s for 2^b items, so it adds a variance of
// at most n 4^s / 2^b / 4, while the compactions above have about 3 n 2^H / k / 4 (H: the top
// level). `entry_level` keeps 2 s <= H - 3: the first is below 8 % of the second, for floats and
// for doubles, and adds less than 4 % to the error. The paper's sampler does the same job with one
// random item of 2^s, at a far greater variance. A count that 2^s does not divide is cut into
// powers of two: weights add up to the count exactly. Levels below s stay all but empty; they are
// given two items each and not eight.
//
// Memory. One array of items, levels one behind the other, the highest last, free room in front:
// 2.4 KB for a million floats and 2.7 KB for 10^10, for doubles 2.4 and 3.2 KB.
//
// Rejected: t-digest (no bound; merging orders matter), GK (a bound, but no fair merge), DDSketch
// (relative error of values, which says little about a column that crosses zero), REQ (better tails
// at 3 times the memory), an unsorted level 0 that is sorted when full (the coin flips per item
// cost 15 ns; sorting many columns at once costs less than one).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/sketch/random.h"

namespace fastserve::sketch {

// For float; 4 KB for each feature hold a k of 100 for double.
template <typename T>
inline constexpr uint16_t kDefaultK = sizeof(T) == 4 ? 200 : 100;

// Of one rank, with 99 % confidence, as a share of the count.
double rank_error(uint16_t k);

class ByteReader;

template <typename T>
class QuantileSketch {
 public:
  explicit QuantileSketch(uint64_t seed, uint16_t k = kDefaultK<T>);

  // Adds `count` items in ascending order, `stride` apart, without NaN.
  void add_sorted(const T* sorted, size_t count, size_t stride = 1);
  // Adds the items of `other`, whose k may differ: the error is then that of the smaller one.
  void merge(const QuantileSketch& other);

  // How many items of the stream it stands for.
  uint64_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  uint16_t k() const { return k_; }
  // The smallest k that was merged in, which decides the error.
  uint16_t min_k() const { return min_k_; }
  // Only when !empty().
  T minimum() const { return minimum_; }
  T maximum() const { return maximum_; }
  // Items held, all levels.
  uint32_t retained() const { return levels_.back() - levels_.front(); }
  size_t level_count() const { return levels_.size() - 1; }
  // Items of a level; each stands for 2^level. Sorted, but for level 0 of a sketch that others
  // wrote.
  std::span<const T> level(size_t index) const {
    return {items_.data() + levels_[index], levels_[index + 1] - levels_[index]};
  }
  // Memory beyond the object itself.
  size_t heap_bytes() const {
    return items_.capacity() * sizeof(T) + levels_.capacity() * sizeof(uint32_t) +
           capacities_.capacity() * sizeof(uint16_t);
  }

  // The compact form of Apache DataSketches' kll_floats_sketch or kll_doubles_sketch.
  std::string serialize() const;
  // Reads that form whoever wrote it; every byte is checked and memory is in proportion to them.
  // Errors: kInvalidArgument with what is wrong. `seed` is for the coins of later compactions.
  static Result<QuantileSketch> parse(ByteSpan bytes, uint64_t seed);

 private:
  size_t entry_level() const;
  void add_level();
  void set_capacities();
  void grow_room(uint32_t room);
  void sort_level_zero();
  void insert(size_t level, const T* run, size_t count, size_t stride);
  void make_room();
  void compact(size_t level);
  Status read_single(ByteReader* reader);
  Status read_levels(ByteReader* reader);
  Status check_items() const;

  uint16_t k_;
  uint16_t min_k_;
  bool is_level_zero_sorted_ = false;  // as the serial format's flag says it
  uint64_t count_ = 0;
  T minimum_ = 0;
  T maximum_ = 0;
  Random random_;
  std::vector<uint32_t> levels_ = {0, 0};  // where each level begins in items_, then the end
  std::vector<T> items_;
  // By level, and their sum. They are asked for at every compaction, and change with each new
  // level.
  std::vector<uint16_t> capacities_;
  uint32_t capacity_ = 0;
};

extern template class QuantileSketch<float>;
extern template class QuantileSketch<double>;

}  // namespace fastserve::sketch
