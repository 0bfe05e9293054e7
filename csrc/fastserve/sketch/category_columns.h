// The category features of one tensor.
#pragma once

#include <cstdint>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/sketch/category_sketch.h"
#include "fastserve/tensor/dtype.h"

namespace fastserve::sketch {

class CategoryColumns {
 public:
  CategoryColumns(DType dtype, size_t columns)
      : dtype_(dtype), features_(columns, CategorySketch(dtype)) {}

  size_t size() const { return features_.size(); }
  const CategorySketch& feature(size_t index) const { return features_[index]; }
  // Element i of a row goes to feature i modulo size(): with one feature, all are pooled in it.
  // `data` holds `elements` elements, a multiple of size().
  void add_integers(size_t elements, const std::byte* data);
  // `data` are well-formed BYTES elements.
  void add_texts(ByteSpan data);
  void merge(const CategoryColumns& other);
  void restore(size_t index, CategorySketch sketch) { features_[index] = std::move(sketch); }
  size_t heap_bytes() const;

 private:
  DType dtype_;
  std::vector<CategorySketch> features_;
};

// How many BYTES elements `data` holds; -1 when it does not end with one.
int64_t count_texts(ByteSpan data);

}  // namespace fastserve::sketch
