#include "fastserve/tensor/shape.h"

#include <doctest/doctest.h>

#include <cstdint>

using fastserve::checked_multiply;
using fastserve::kMaxRank;
using fastserve::Shape;

TEST_CASE("shape: a scalar has one element") {
  int64_t count = 0;
  CHECK(Shape().element_count(&count));
  CHECK(count == 1);
  CHECK(Shape().to_string() == "[]");
}

TEST_CASE("shape: the element count is the product of the dimensions") {
  int64_t count = 0;
  CHECK(Shape({2, 3, 30}).element_count(&count));
  CHECK(count == 180);
  CHECK(Shape({5, 0, 7}).element_count(&count));
  CHECK(count == 0);
  CHECK(Shape({INT64_MAX}).element_count(&count));
  CHECK(count == INT64_MAX);
}

TEST_CASE("shape: negative and overflowing dimensions have no element count") {
  int64_t count = 0;
  CHECK_FALSE(Shape({-1}).element_count(&count));
  CHECK_FALSE(Shape({0, INT64_MIN}).element_count(&count));
  CHECK_FALSE(Shape({INT64_MAX, 2}).element_count(&count));
  CHECK_FALSE(Shape({int64_t{1} << 32, int64_t{1} << 31}).element_count(&count));
  CHECK(Shape({int64_t{1} << 32, (int64_t{1} << 31) - 1}).element_count(&count));
}

TEST_CASE("shape: a 0 does not hide an overflow, wherever it stands") {
  int64_t count = 0;
  CHECK_FALSE(Shape({0, int64_t{1} << 62, 4}).element_count(&count));
  CHECK_FALSE(Shape({int64_t{1} << 62, 4, 0}).element_count(&count));
}

TEST_CASE("shape: equality compares rank and dimensions only") {
  Shape longer = {2, 3, 4};
  CHECK(Shape({2, 3}) == Shape({2, 3}));
  CHECK_FALSE(Shape({2, 3}) == longer);
  CHECK_FALSE(Shape({2, 3}) == Shape({3, 2}));
  longer.clear();
  CHECK(longer == Shape());
}

TEST_CASE("shape: it is full at the largest rank") {
  Shape shape;
  for (size_t i = 0; i < kMaxRank; ++i) {
    CHECK_FALSE(shape.full());
    shape.push_back(1);
  }
  CHECK(shape.full());
  CHECK(shape.rank() == kMaxRank);
}

TEST_CASE("shape: text lists the dimensions") {
  CHECK(Shape({2, 30}).to_string() == "[2,30]");
  CHECK(Shape({-1}).to_string() == "[-1]");
}

TEST_CASE("checked_multiply: refuses negative factors and overflow, and leaves the product alone") {
  int64_t product = 7;
  CHECK_FALSE(checked_multiply(-1, 2, &product));
  CHECK_FALSE(checked_multiply(2, -1, &product));
  CHECK_FALSE(checked_multiply(INT64_MAX, 2, &product));
  CHECK(product == 7);
  CHECK(checked_multiply(0, INT64_MAX, &product));
  CHECK(product == 0);
}
