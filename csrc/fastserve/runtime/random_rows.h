// Seeded random inputs made from a signature, row by row, so that the same row can be sent alone
// and in company.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/runtime/session.h"
#include "fastserve/runtime/signature.h"

namespace fastserve::runtime {

class RandomRows {
 public:
  // `rows` rows for each input; every dynamic axis behind the first gets `axis_size`; integers are
  // drawn from [0, integer_limit). Floats of row r are normal with a standard deviation of 4^(r -
  // 1).
  RandomRows(const Signature& signature, int64_t rows, int64_t axis_size, int integer_limit,
             uint64_t seed);

  // The rows in `order`, as inputs of one run; valid until the next call.
  std::span<const RunInput> take(std::span<const int64_t> order);

 private:
  void append_row(DType dtype, int64_t elements, int integer_limit, double scale, Buffer* row);

  std::mt19937_64 random_;
  std::vector<std::vector<Buffer>> rows_;  // [input][row]
  std::vector<Shape> row_shapes_;          // with 1 row
  std::vector<Buffer> memory_;
  std::vector<RunInput> inputs_;
};

}  // namespace fastserve::runtime
