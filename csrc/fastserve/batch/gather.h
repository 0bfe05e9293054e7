// Joins requests' inputs along the batch axis into one aligned buffer, and cuts outputs back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::batch {

// Appends `pieces` back to back into `out` (cleared first; 64-byte aligned data is not needed, 16
// is). Works for BYTES in wire form too: concatenation of rows is concatenation of bytes.
void gather(std::span<const ByteSpan> pieces, Buffer* out);

// Cuts one output of a batch into runs of rows.
class Scatter {
 public:
  // `shape[0]` must be `rows` (kInternal with the output's name otherwise: the model did not keep
  // the batch axis). For BYTES the element offsets are found once here.
  Status reset(std::string_view output_name, DType dtype, const Shape& shape, ByteSpan data,
               int64_t rows);
  // Rows [begin, begin + count): a view into the batch's data.
  ByteSpan slice(int64_t begin, int64_t count) const;

 private:
  ByteSpan data_;
  size_t row_bytes_ = 0;
  bool is_bytes_ = false;
  std::vector<size_t> row_offsets_;  // BYTES only: rows + 1 offsets
};

}  // namespace fastserve::batch
