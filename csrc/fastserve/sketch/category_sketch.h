// CategorySketch: the most frequent values of a column and how many different ones it had.
//
// Idea. A bounded number of values have a counter each. When one more is needed, every counter is
// lowered by the same amount, such that at least half of them reach zero and are free again. Values
// that are frequent survive. Paper: Misra, Gries, "Finding repeated elements" (1982); lowering by a
// large step is from Anderson et al., "A High-Performance Algorithm for Identifying Frequent Items
// in Data Streams" (2017): the work is constant for each value, whatever the stream.
//
// Error. A value's true count is at least its counter and at most `error()` more, the sum of all
// steps. Each step of d took d from more than half of the counters, so error() <= count / (half +
// 1): 1.5 % of the count for numbers (128 counters), 3.0 % for text (64), at worst; and every value
// more frequent than that is kept. It is 0, and all counts are exact, while there were no more
// values than counters. Merging adds counters and lowers once more in the same way, so the bound
// holds after it (Agarwal et al., "Mergeable Summaries", 2012).
//
// Distinct values: exact while error() is 0 (the counters are all values), else by DistinctCount,
// which is only then allocated, from the counters; and only values without a counter need to be
// hashed for it.
//
// Text. Up to kTextBytes are kept, of longer ones a prefix; a text is told from others by its
// 64-bit hash alone, so a collision (one in 10^7 with a million texts) would join two. Empty text
// is missing: it is counted and not a value.
//
// Rejected: Space-Saving (same bound with the same memory, but needs a heap or linked buckets to
// find the smallest counter at each miss), count-min (does not know the values).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/sketch/distinct_count.h"
#include "fastserve/tensor/dtype.h"

namespace fastserve::sketch {

// A value that has a counter.
struct HeavyHitter {
  std::string value;   // as people read it; of long text a prefix and its hash
  uint64_t count = 0;  // it occurred at least so often
  uint64_t error = 0;  // and at most so much more often
};

class ByteReader;

class CategorySketch {
 public:
  static constexpr size_t kTextBytes = 23;
  static constexpr size_t kMaxIntegers = 128;  // counters
  static constexpr size_t kMaxTexts = 64;

  // `dtype` is an integer type, kBool or kBytes.
  explicit CategorySketch(DType dtype) : dtype_(dtype) {}
  CategorySketch(const CategorySketch& other);
  CategorySketch(CategorySketch&&) noexcept = default;
  CategorySketch& operator=(CategorySketch&&) noexcept = default;

  // For every type but kBytes; signed values widened to 64 bits.
  void add_integer(uint64_t value);
  // For kBytes.
  void add_text(std::string_view text);
  // `other` has the same dtype. Its counts and ours are below 2^60.
  void merge(const CategorySketch& other);

  uint64_t count() const { return count_; }      // all values
  uint64_t missing() const { return missing_; }  // empty text
  uint64_t error() const { return error_; }
  double distinct() const;
  // All values with a counter, most frequent first, ties by value.
  std::vector<HeavyHitter> top() const;

  // Key and count of every counter, for scores: equal keys are equal values.
  struct Entry {
    uint64_t key;  // the integer, or the text's hash
    uint64_t count;
  };
  const std::vector<Entry>& entries() const { return entries_; }

  size_t heap_bytes() const;
  void serialize(std::string* out) const;
  // Errors: kInvalidArgument with what is wrong.
  static Result<CategorySketch> parse(DType dtype, ByteSpan bytes);
  // In the format of DataSketches' HLL; see distinct_count.h.
  std::string distinct_sketch() const;

 private:
  struct Text {
    uint8_t size = 0;   // bytes kept; kLongText when there were more
    uint8_t value = 0;  // of DistinctCount::Coupon, whose index is in the key
    std::array<char, kTextBytes> bytes = {};
  };
  static constexpr uint8_t kLongText = kTextBytes + 1;

  bool is_text() const { return dtype_ == DType::kBytes; }
  size_t max_entries() const { return is_text() ? kMaxTexts : kMaxIntegers; }
  Entry* find(uint64_t key);
  void append(Entry entry, const Text& text);
  void add_new(uint64_t key, DistinctCount::Coupon coupon, const Text& text);
  DistinctCount::Coupon coupon_of(size_t entry) const;
  void start_distinct();
  void lower_to(size_t kept);
  void lower(uint64_t step);
  void rebuild_index();
  std::string value_of(size_t entry) const;
  Status read_entry(ByteReader* reader);
  Status check() const;

  DType dtype_;
  uint64_t count_ = 0;
  uint64_t missing_ = 0;
  uint64_t error_ = 0;
  std::vector<Entry> entries_;
  std::vector<Text> texts_;     // beside entries_, for text alone
  std::vector<uint8_t> index_;  // open addressing by key: 0, or 1 + number of an entry
  std::unique_ptr<DistinctCount> distinct_;
};

}  // namespace fastserve::sketch
