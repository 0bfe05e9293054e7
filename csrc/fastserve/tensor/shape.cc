#include "fastserve/tensor/shape.h"

#include <algorithm>

namespace fastserve {

bool Shape::operator==(const Shape& other) const {
  return std::ranges::equal(dims(), other.dims());
}

bool Shape::element_count(int64_t* count) const {
  int64_t product = 1;
  bool is_empty = false;
  for (int64_t dim : dims()) {
    if (dim == 0) {
      is_empty = true;
    } else if (!checked_multiply(product, dim, &product)) {
      return false;
    }
  }
  *count = is_empty ? 0 : product;
  return true;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (size_t axis = 0; axis < rank(); ++axis) {
    if (axis != 0) text += ',';
    text += std::to_string(dims_[axis]);
  }
  text += ']';
  return text;
}

bool checked_multiply(int64_t a, int64_t b, int64_t* product) {
  if (a < 0 || b < 0) return false;
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result)) return false;
  *product = result;
  return true;
}

}  // namespace fastserve
