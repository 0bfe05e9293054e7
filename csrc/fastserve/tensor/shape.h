// A tensor's dimensions, held inline: no allocation for a request's shapes.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace fastserve {

// Ranks above this are refused. ONNX models in the wild stay below 9.
inline constexpr size_t kMaxRank = 16;
// In signatures, a dimension whose size a request chooses.
inline constexpr int64_t kDynamic = -1;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    for (int64_t dim : dims) push_back(dim);
  }
  explicit Shape(std::span<const int64_t> dims) {
    for (int64_t dim : dims) push_back(dim);
  }

  size_t rank() const { return rank_; }
  bool full() const { return rank_ == kMaxRank; }
  int64_t operator[](size_t axis) const { return dims_[axis]; }
  int64_t& operator[](size_t axis) { return dims_[axis]; }
  // Only when !full().
  void push_back(int64_t dim) { dims_[rank_++] = dim; }
  void clear() { rank_ = 0; }
  const int64_t* data() const { return dims_.data(); }
  std::span<const int64_t> dims() const { return {dims_.data(), rank_}; }
  bool operator==(const Shape& other) const;

  // Product of the dimensions (1 for a scalar). False when a dimension is negative or the product
  // of those that are not 0 does not fit in int64; so where this is true, the product of any subset
  // of the dimensions fits, in any order.
  bool element_count(int64_t* count) const;
  // "[2,30]"; "[]" for a scalar.
  std::string to_string() const;

 private:
  std::array<int64_t, kMaxRank> dims_;
  uint8_t rank_ = 0;
};

// a * b into *product; false on overflow or a negative factor.
bool checked_multiply(int64_t a, int64_t b, int64_t* product);

}  // namespace fastserve
