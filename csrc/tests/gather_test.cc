#include "fastserve/batch/gather.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace fastserve;
using namespace fastserve::batch;

namespace {

std::string element(const std::string& text) {
  auto length = static_cast<uint32_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

// Rows of random bytes of a type; for BYTES of random lengths.
std::string random_rows(std::mt19937* random, DType dtype, int64_t rows, int64_t per_row) {
  std::string data;
  for (int64_t i = 0; i < rows * per_row; ++i) {
    std::string one(dtype == DType::kBytes ? (*random)() % 12 : dtype_size(dtype), '\0');
    for (char& c : one) c = static_cast<char>((*random)());
    data += dtype == DType::kBytes ? element(one) : one;
  }
  return data;
}

}  // namespace

TEST_CASE("what gather joins scatter cuts back, for every type") {
  std::mt19937 random(31);
  Buffer joined;
  Scatter scatter;
  for (int round = 0; round < 3000; ++round) {
    auto dtype = static_cast<DType>(1 + random() % 14);
    CAPTURE(std::string(dtype_name(dtype)));
    int64_t width = random() % 4;
    std::vector<std::string> data;
    std::vector<int64_t> rows;
    std::vector<ByteSpan> pieces;
    int64_t total = 0;
    for (uint32_t i = 0, n = 1 + random() % 6; i < n; ++i) {
      rows.push_back(random() % 5);
      total += rows.back();
      data.push_back(random_rows(&random, dtype, rows.back(), width * 2));
    }
    for (const std::string& one : data) pieces.push_back(as_bytes(one));
    gather(pieces, &joined);
    REQUIRE(reinterpret_cast<uintptr_t>(joined.data()) % 16 == 0);
    REQUIRE(scatter.reset("y", dtype, Shape{total, width, 2}, joined.bytes(), total).ok());
    int64_t begin = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      REQUIRE(as_text(scatter.slice(begin, rows[i])) == data[i]);
      begin += rows[i];
    }
    REQUIRE(scatter.slice(0, total).size() == joined.size());
  }
}

TEST_CASE("gather of nothing is empty and forgets what was there") {
  Buffer out;
  out.append(as_bytes("old"));
  gather({}, &out);
  CHECK(out.empty());
  ByteSpan empty;
  gather({&empty, 1}, &out);
  CHECK(out.empty());
}

TEST_CASE("scatter refuses an output that lost the batch axis, naming it") {
  Scatter scatter;
  std::string data(24, 'x');
  for (const Shape& shape : {Shape{}, Shape{2, 3}, Shape{4, 1}, Shape{-3, 1}}) {
    Status status = scatter.reset("score", DType::kFp32, shape, as_bytes(data), 3);
    CHECK(status.code() == Code::kInternal);
    CHECK(status.message().find("'score'") != std::string::npos);
    CHECK(status.message().find(shape.to_string()) != std::string::npos);
  }
}

TEST_CASE("scatter refuses data that does not fill the shape") {
  Scatter scatter;
  std::string data(24, 'x');
  CHECK_FALSE(scatter.reset("y", DType::kFp32, Shape{3, 1}, as_bytes(data), 3).ok());
  CHECK_FALSE(scatter.reset("y", DType::kFp32, Shape{3, 3}, as_bytes(data), 3).ok());
  CHECK_FALSE(scatter.reset("y", DType::kFp32, Shape{3, INT64_MAX}, as_bytes(data), 3).ok());

  std::string strings = element("a") + element("") + element("ccc");
  CHECK(scatter.reset("y", DType::kBytes, Shape{3}, as_bytes(strings), 3).ok());
  CHECK(as_text(scatter.slice(1, 2)) == element("") + element("ccc"));
  CHECK_FALSE(scatter.reset("y", DType::kBytes, Shape{2}, as_bytes(strings), 2).ok());
  CHECK_FALSE(scatter.reset("y", DType::kBytes, Shape{4}, as_bytes(strings), 4).ok());
  for (size_t cut = 0; cut < strings.size(); ++cut) {
    std::string_view part = std::string_view(strings).substr(0, cut);
    CHECK_FALSE(scatter.reset("y", DType::kBytes, Shape{3}, as_bytes(part), 3).ok());
  }
}
