// How far the answers of a candidate are from those of the live version, row by row.
//
// What is kept of an output is bounded: counters, exact maxima, quantile sketches and the worst few
// rows. All of it merges.
//
// A row differs when an element of it is beyond the tolerance, |candidate - live| > absolute +
// relative * |live| (the rule of numpy.allclose, so a live value of 0 has a tolerance too), when
// NaN is in one of the two alone, or when the class of the highest score changed. Infinities equal
// themselves. Elements of integers, BOOL and BYTES differ when they are not equal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/sketch/table_sketch.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::engine {

// A relative difference is |candidate - live| / max(|live|, this): near zero it would say nothing.
inline constexpr double kRelativeFloor = 1e-6;
// Rank correlation is worked out for rows of so many scores.
inline constexpr size_t kMinRankedScores = 3;
inline constexpr size_t kMaxRankedScores = 1024;
inline constexpr size_t kWorstRows = 5;
inline constexpr size_t kExampleElements = 16;

struct ShadowTolerance {
  double absolute = 1e-6;
  double relative = 1e-3;
};

// One output of one block of rows, in raw form.
struct ShadowOutputView {
  DType dtype = DType::kInvalid;
  Shape shape;
  ByteSpan data;
};

// A row and both its answers, cut to kExampleElements elements.
struct ShadowExample {
  std::string id;    // of the request, where it has one
  uint32_t row = 0;  // within the request, or where it has no id within the block
  double difference = 0;
  std::vector<std::string> live;
  std::vector<std::string> candidate;
};

// What is kept of one output.
struct ShadowOutputTally {
  uint64_t rows = 0;
  uint64_t differing_rows = 0;    // by the rule above
  uint64_t unequal_rows = 0;      // not the same in value
  uint64_t nan_rows = 0;          // NaN in one of the two alone
  uint64_t wrong_shape_rows = 0;  // the candidate gave another number of elements, or none
  uint64_t argmax_rows = 0;       // that have scores, and so a highest one
  uint64_t argmax_flips = 0;
  double max_absolute = 0;
  double max_relative = 0;
  // Spearman's; of rows where neither side has all scores equal.
  uint64_t correlated_rows = 0;
  double correlation_sum = 0;
  double min_correlation = 1;
  std::vector<ShadowExample> worst;  // the largest difference first

  void merge(const ShadowOutputTally& other);
  void keep(ShadowExample example);
};

// Compares outputs of blocks of rows. Thread: one at a time.
class ShadowComparison {
 public:
  explicit ShadowComparison(const ShadowTolerance& tolerance) : tolerance_(tolerance) {}

  // Begins a block of `rows` rows.
  void begin(uint32_t rows) { differs_.assign(rows, false); }
  // Adds one output of the block. `candidate` is null where it gave none. `absolute` and `relative`
  // get each row's largest difference, NaN where there is none.
  void add(const ShadowOutputView& live, const ShadowOutputView* candidate,
           ShadowOutputTally* tally);
  // The rows' differences of the last add().
  const std::vector<float>& absolute() const { return absolute_; }
  const std::vector<float>& relative() const { return relative_; }
  // Rows of the block that differ in any output.
  uint64_t differing_rows() const;

 private:
  struct Row {
    double absolute = 0;
    double relative = 0;
    bool differs = false;
    bool is_unequal = false;
    bool has_lone_nan = false;
  };
  void add_wrong_shape(ShadowOutputTally* tally);
  Row compare_numbers(size_t first, size_t elements, bool is_exact) const;
  void compare_scores(size_t first, size_t elements, size_t last_axis, Row* row,
                      ShadowOutputTally* tally);
  Row compare_texts(size_t first, size_t elements) const;
  void count(size_t row, const Row& found, ShadowOutputTally* tally);

  const ShadowTolerance tolerance_;
  std::vector<bool> differs_;  // by row of the block
  std::vector<float> absolute_;
  std::vector<float> relative_;
  // Scratch of add(): all elements of both sides.
  std::vector<double> live_;
  std::vector<double> candidate_;
  std::vector<std::string_view> live_texts_;
  std::vector<std::string_view> candidate_texts_;
  std::vector<uint32_t> order_;
  std::vector<double> live_ranks_;
  std::vector<double> candidate_ranks_;
};

}  // namespace fastserve::engine
