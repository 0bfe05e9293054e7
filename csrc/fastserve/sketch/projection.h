// What is kept of a row that is too wide, or of varying length: norm, mean and random projections.
//
// Idea. The projection of a row is the sum of its elements, each with a sign, divided by the root
// of their number. Signs are as good as Gaussian weights (Achlioptas, "Database-friendly random
// projections", 2003): a change of the rows' distribution moves that of nearly every projection, so
// four of them notice shifts that leave mean and norm alone. The sign of element i comes from a
// hash of i: no matrix is kept, and rows of any length agree on it. The hash is the same everywhere
// and in every version: what a reference was made with, live rows are measured by.
//
// For [n] elements x: norm = sqrt(sum x^2), mean = sum x / n, projection[j] = sum s_j(i) x_i /
// sqrt(n). An element that is not finite makes the numbers so; a row without elements has norm 0,
// the rest NaN.
#pragma once

#include <cstddef>

#include "fastserve/base/bytes.h"
#include "fastserve/sketch/table_schema.h"
#include "fastserve/tensor/dtype.h"

namespace fastserve::sketch {

// Reads `elements` elements of `dtype` (not BYTES) at `row`, of any alignment, and writes norm,
// mean and projections to `derived`.
void derive_row(DType dtype, const std::byte* row, size_t elements,
                double derived[kDerivedFeatures]);

}  // namespace fastserve::sketch
