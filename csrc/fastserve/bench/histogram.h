// A log-linear histogram of durations, as HdrHistogram (Gil Tene) has it: each power of two is cut
// into 128 equal buckets, so a bucket is narrower than 1/128 of every value in it, and its middle
// is within 1/256 (0.4 %) of them. 0 to 255 ns are exact; the longest is 2^43 ns (2.4 hours),
// beyond which values count as that.
//
// Memory: 37 KB. Thread: one adds; any may read meanwhile, and sees each bucket as it was at some
// moment of the reading.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastserve/base/clock.h"

namespace fastserve::bench {

// The buckets' limits; values are never negative.
class HistogramScale {
 public:
  static constexpr int kBits = 7;
  static constexpr int kLargestBits = 43;
  static constexpr size_t kPerOctave = size_t{1} << kBits;
  static constexpr size_t kBuckets = (kLargestBits - kBits + 1) * kPerOctave;

  static constexpr size_t bucket_of(Nanos value) {
    const auto bounded =
        static_cast<uint64_t>(std::clamp<Nanos>(value, 0, (Nanos{1} << kLargestBits) - 1));
    const int octave = std::max(0, static_cast<int>(std::bit_width(bounded)) - 1 - kBits);
    return static_cast<size_t>(octave) * kPerOctave + static_cast<size_t>(bounded >> octave);
  }
  // The middle of the bucket.
  static constexpr double value_of(size_t bucket) {
    if (bucket < 2 * kPerOctave) return static_cast<double>(bucket);
    const size_t octave = bucket / kPerOctave - 1;
    const uint64_t low = static_cast<uint64_t>(bucket - octave * kPerOctave) << octave;
    return static_cast<double>(low) + static_cast<double>((uint64_t{1} << octave) - 1) / 2;
  }
};

class Histogram {
 public:
  Histogram() : counts_(HistogramScale::kBuckets) {}

  void add(Nanos value) {
    std::atomic<uint64_t>& count = counts_[HistogramScale::bucket_of(value)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  // Adds the counts of this one to `sums`, which has kBuckets or is empty.
  void add_to(std::vector<uint64_t>* sums) const {
    sums->resize(counts_.size());
    for (size_t i = 0; i < counts_.size(); ++i) {
      (*sums)[i] += counts_[i].load(std::memory_order_relaxed);
    }
  }

 private:
  std::vector<std::atomic<uint64_t>> counts_;
};

}  // namespace fastserve::bench
