// The number features of one tensor: rows wait in a block, blocks enter the sketches of the
// columns.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "fastserve/sketch/column_block.h"
#include "fastserve/sketch/moments.h"
#include "fastserve/sketch/quantile_sketch.h"

namespace fastserve::sketch {

template <typename T>
struct NumberSketch {
  Moments moments;
  QuantileSketch<T> quantiles;  // of the finite values

  void merge(const NumberSketch& other) {
    moments.merge(other.moments);
    quantiles.merge(other.quantiles);
  }
};

// Copying copies the waiting rows too.
template <typename T>
class NumberColumns {
 public:
  NumberColumns(size_t columns, uint64_t seed);
  NumberColumns(const NumberColumns& other);
  NumberColumns(NumberColumns&&) noexcept = default;
  NumberColumns& operator=(NumberColumns&&) noexcept = default;

  size_t size() const { return features_.size(); }
  // Adds `rows` rows. `fill(first, count, out, stride)` writes rows [first, first + count) to out,
  // out + stride, ..., size() values each.
  template <typename Fill>
  void add(size_t rows, Fill fill) {
    for (size_t done = 0; done < rows;) {
      if (block_ == nullptr) allocate();
      const size_t take = std::min(rows - done, kBlockRows<T> - waiting_);
      fill(done, take, block_.get() + waiting_ * stride_, stride_);
      waiting_ += take;
      done += take;
      if (waiting_ == kBlockRows<T>) digest();
    }
  }
  // Both have as many columns.
  void merge(const NumberColumns& other);
  // The feature with the waiting rows added.
  NumberSketch<T> settled(size_t feature) const;
  // Replaces a feature; no rows wait.
  void restore(size_t feature, NumberSketch<T> sketch) { features_[feature] = std::move(sketch); }
  // Memory beyond the object itself.
  size_t heap_bytes() const;

 private:
  struct AlignedDelete {
    void operator()(T* block) const;
  };

  void allocate();
  void digest();
  // Adds the waiting rows to `sketch`, the block as it is.
  void add_waiting(size_t feature, NumberSketch<T>* sketch) const;

  size_t stride_;
  size_t waiting_ = 0;  // rows in block_
  std::unique_ptr<T[], AlignedDelete> block_;
  std::vector<NumberSketch<T>> features_;
};

extern template class NumberColumns<float>;
extern template class NumberColumns<double>;

}  // namespace fastserve::sketch
