#include "fastserve/tensor/dtype.h"

#include <doctest/doctest.h>

using fastserve::DType;
using fastserve::dtype_from_name;
using fastserve::dtype_name;
using fastserve::dtype_size;

TEST_CASE("dtype: every name leads back to its dtype") {
  for (int i = 1; i <= static_cast<int>(DType::kBytes); ++i) {
    const auto dtype = static_cast<DType>(i);
    CAPTURE(dtype_name(dtype));
    CHECK(dtype_from_name(dtype_name(dtype)) == dtype);
  }
}

TEST_CASE("dtype: sizes are those of the raw form, and 0 where elements have their own") {
  CHECK(dtype_size(DType::kBool) == 1);
  CHECK(dtype_size(DType::kInt8) == 1);
  CHECK(dtype_size(DType::kUint16) == 2);
  CHECK(dtype_size(DType::kFp16) == 2);
  CHECK(dtype_size(DType::kBf16) == 2);
  CHECK(dtype_size(DType::kFp32) == 4);
  CHECK(dtype_size(DType::kUint64) == 8);
  CHECK(dtype_size(DType::kFp64) == 8);
  CHECK(dtype_size(DType::kBytes) == 0);
  CHECK(dtype_size(DType::kInvalid) == 0);
}

TEST_CASE("dtype: names that the protocol does not have are invalid, case included") {
  for (const char* name : {"", "fp32", "FP3", "FP320", "FP8", "STRING", "INVALID", "TYPE_FP32"}) {
    CAPTURE(name);
    CHECK(dtype_from_name(name) == DType::kInvalid);
  }
}
