#include "fastserve/sketch/table_sketch.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fastserve/sketch/scores.h"

using namespace fastserve;
using namespace fastserve::sketch;

namespace {

std::shared_ptr<const TableSchema> schema_of(std::vector<TensorColumns> tensors) {
  Result<TableSchema> schema = TableSchema::make(std::move(tensors));
  REQUIRE(schema.ok());
  return std::make_shared<const TableSchema>(std::move(*schema));
}

// One tensor of every kind of column.
std::shared_ptr<const TableSchema> mixed_schema() {
  return schema_of({{"x", true, DType::kFp32, 3},
                    {"h", true, DType::kFp16, 2},
                    {"d", true, DType::kFp64, 1},
                    {"n", true, DType::kInt64, 2},
                    {"t", true, DType::kBytes, 1},
                    {"wide", true, DType::kFp32, 200},
                    {"tokens", true, DType::kInt32, -1},
                    {"words", true, DType::kBytes, -1},
                    {"none", false, DType::kFp32, 0},
                    {"y", false, DType::kBf16, 1}});
}

std::string text_elements(std::mt19937* random, int64_t count) {
  std::string data;
  for (int64_t i = 0; i < count; ++i) {
    const std::string text(random->operator()() % 40, static_cast<char>('a' + (*random)() % 3));
    const auto size = static_cast<uint32_t>(text.size());
    data.append(reinterpret_cast<const char*>(&size), sizeof(size));
    data += text;
  }
  return data;
}

void add_rows(TableSketch* table, std::mt19937* random, int64_t rows) {
  for (size_t i = 0; i < table->schema().tensors().size(); ++i) {
    const TensorColumns& tensor = table->schema().tensors()[i];
    const int64_t per_row = tensor.elements >= 0 ? tensor.elements : (*random)() % 9;
    std::string data;
    if (tensor.dtype == DType::kBytes) {
      data = text_elements(random, rows * per_row);
    } else {
      data.resize(static_cast<size_t>(rows * per_row) * dtype_size(tensor.dtype));
      // Any bits are a value of every type but the floating ones, where some are NaN.
      for (char& c : data) c = static_cast<char>((*random)() % 5 == 0 ? (*random)() : 0x3c);
    }
    const Status status = table->add(i, rows, as_bytes(data));
    REQUIRE_MESSAGE(status.ok(), status.message());
  }
}

}  // namespace

TEST_CASE("features are named after tensor and element") {
  const auto schema = mixed_schema();
  std::vector<std::string> names;
  for (const Feature& feature : schema->features()) names.push_back(feature.name);
  CHECK(names == std::vector<std::string>{"x[0]",
                                          "x[1]",
                                          "x[2]",
                                          "h[0]",
                                          "h[1]",
                                          "d",
                                          "n[0]",
                                          "n[1]",
                                          "t",
                                          "wide.norm",
                                          "wide.mean",
                                          "wide.projection[0]",
                                          "wide.projection[1]",
                                          "wide.projection[2]",
                                          "wide.projection[3]",
                                          "tokens.norm",
                                          "tokens.mean",
                                          "tokens.projection[0]",
                                          "tokens.projection[1]",
                                          "tokens.projection[2]",
                                          "tokens.projection[3]",
                                          "words",
                                          "y"});
  CHECK(schema->features()[6].kind == FeatureKind::kCategory);
  CHECK(schema->features()[21].kind == FeatureKind::kCategory);
}

TEST_CASE("a schema that cannot be is refused with the tensor's name") {
  const auto refusal = [](std::vector<TensorColumns> tensors) {
    Result<TableSchema> schema = TableSchema::make(std::move(tensors));
    REQUIRE(!schema.ok());
    CHECK(schema.status().code() == Code::kInvalidArgument);
    return schema.status().message();
  };
  CHECK(refusal({{"x", true, DType::kFp32, 1}, {"x", true, DType::kFp32, 1}}) ==
        "tensor 'x' stands twice among the inputs");
  CHECK(refusal({{"x", true, DType::kInvalid, 1}}).find("'x'") != std::string::npos);
  CHECK(refusal({{"x", true, DType::kFp32, -2}}).find("-2 elements") != std::string::npos);
  CHECK(refusal({{"", true, DType::kFp32, 1}}).find("0 bytes") != std::string::npos);
  std::vector<TensorColumns> many;
  for (int i = 0; i < 129; ++i) many.push_back({"t" + std::to_string(i), true, DType::kFp32, 128});
  CHECK(refusal(many).find("'t128'") != std::string::npos);
  // The same name may be an input and an output.
  CHECK(TableSchema::make({{"x", true, DType::kFp32, 1}, {"x", false, DType::kFp32, 1}}).ok());
}

TEST_CASE("rows that do not fit are refused and nothing of them is kept") {
  const auto schema = mixed_schema();
  TableSketch table(schema);
  const std::string before = table.serialize();
  const std::string twelve(12, '\0');
  CHECK(table.add(0, 2, as_bytes(twelve)).message() ==
        "tensor 'x': got 3 elements for 2 rows, expected 3 for each row");
  CHECK(table.add(0, 1, as_bytes(twelve.substr(1))).code() == Code::kInvalidArgument);
  CHECK(table.add(0, -1, {}).code() == Code::kInvalidArgument);
  CHECK(table.add(0, INT64_MAX, as_bytes(twelve)).code() == Code::kInvalidArgument);
  CHECK(table.add(99, 1, as_bytes(twelve)).message() == "there is no tensor 99, the schema has 10");
  CHECK(table.add(6, 2, as_bytes(twelve)).code() == Code::kInvalidArgument);  // 3 for 2 rows
  CHECK(table.add(6, 0, as_bytes(twelve)).code() == Code::kInvalidArgument);
  CHECK(table.add(4, 1, as_bytes(std::string("\x09\0\0\0abc", 7))).code() ==
        Code::kInvalidArgument);
  CHECK(table.serialize() == before);
  CHECK(table.rows() == 0);
}

TEST_CASE("a table that was written and read is the same and goes on as the same") {
  std::mt19937 random(3);
  TableSketch table(mixed_schema());
  for (int call = 0; call < 30; ++call) add_rows(&table, &random, random() % 200);
  const std::string bytes = table.serialize();
  Result<TableSketch> read = TableSketch::parse(as_bytes(bytes));
  REQUIRE_MESSAGE(read.ok(), read.status().message());
  CHECK(read->serialize() == bytes);
  CHECK(read->rows() == table.rows());
  CHECK(read->schema() == table.schema());
  TableSketch copy(table);
  REQUIRE(copy.merge(*read).ok());
  CHECK(copy.rows() == 2 * table.rows());
}

TEST_CASE("the same calls give the same bytes, and reading changes nothing") {
  const auto schema = mixed_schema();
  TableSketch quiet(schema);
  TableSketch asked(schema);
  std::mt19937 first(5);
  std::mt19937 second(5);
  for (int call = 0; call < 20; ++call) {
    add_rows(&quiet, &first, 33);
    add_rows(&asked, &second, 33);
    (void)asked.serialize();
    REQUIRE(asked.summary(0).ok());
    REQUIRE(scores(quiet, asked).ok());
  }
  CHECK(quiet.serialize() == asked.serialize());
}

TEST_CASE("every bit flip and every cut of a written table is noticed") {
  std::mt19937 random(7);
  TableSketch table(schema_of({{"x", true, DType::kFp32, 2}, {"t", true, DType::kBytes, 1}}));
  add_rows(&table, &random, 100);
  const std::string bytes = table.serialize();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    const Result<TableSketch> read = TableSketch::parse(as_bytes(changed));
    REQUIRE(!read.ok());
    // The first eight bytes say what the others are.
    REQUIRE(read.status().code() == (bit < 64 ? Code::kInvalidArgument : Code::kDataLoss));
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    REQUIRE(!TableSketch::parse(as_bytes(bytes.substr(0, size))).ok());
  }
}

TEST_CASE("tables of different schemas are neither merged nor compared") {
  TableSketch table(schema_of({{"x", true, DType::kFp32, 2}}));
  const TableSketch other(schema_of({{"x", true, DType::kFp32, 3}}));
  CHECK(table.merge(other).code() == Code::kInvalidArgument);
  CHECK(scores(table, other).status().code() == Code::kInvalidArgument);
}

TEST_CASE("a merged table has the counts of both, waiting rows included") {
  std::mt19937 random(11);
  const auto schema = mixed_schema();
  TableSketch left(schema);
  TableSketch right(schema);
  add_rows(&left, &random, 1'000);
  add_rows(&right, &random, 77);
  REQUIRE(left.merge(right).ok());
  CHECK(left.rows() == 1'077);
  for (size_t feature = 0; feature < schema->features().size(); ++feature) {
    if (schema->features()[feature].name == "words") continue;  // elements are pooled
    CHECK(left.summary(feature)->count == 1'077);
  }
}

TEST_CASE("a feature takes at most 4 KB") {
  std::mt19937_64 random(13);
  for (const DType dtype : {DType::kFp32, DType::kFp64}) {
    TableSketch table(schema_of({{"x", true, dtype, 128}}));
    std::string data(64 * 128 * dtype_size(dtype), '\0');
    std::normal_distribution<double> normal;
    for (int call = 0; call < 500; ++call) {
      for (size_t at = 0; at < data.size(); at += dtype_size(dtype)) {
        const double value = normal(random);
        const auto narrow = static_cast<float>(value);
        dtype == DType::kFp64 ? std::memcpy(data.data() + at, &value, sizeof(value))
                              : std::memcpy(data.data() + at, &narrow, sizeof(narrow));
      }
      REQUIRE(table.add(0, 64, as_bytes(data)).ok());
    }
    // Doubled until there are four billion rows.
    for (int round = 0; round < 17; ++round) {
      REQUIRE(table.merge(TableSketch(table)).ok());
      REQUIRE(table.size_bytes() / 128 <= 4096);
    }
    CHECK(table.rows() == uint64_t{32'000} << 17);
    CHECK(table.serialize().size() / 128 <= 4096);
  }
}

TEST_CASE("scores of a table with itself are zero, and of no rows do not apply") {
  std::mt19937 random(17);
  TableSketch table(mixed_schema());
  add_rows(&table, &random, 3'000);
  const auto same = scores(table, table);
  REQUIRE(same.ok());
  for (const FeatureScores& of : same.value()) {
    if (!std::isnan(of.psi)) CHECK(of.psi == doctest::Approx(0));
    if (!std::isnan(of.kolmogorov_smirnov)) CHECK(of.kolmogorov_smirnov == 0);
    if (!std::isnan(of.wasserstein)) CHECK(of.wasserstein == 0);
    if (!std::isnan(of.cramers_v)) CHECK(of.cramers_v == 0);
    CHECK(of.missing_change == 0);
  }
  const auto none = scores(table, TableSketch(mixed_schema()));
  REQUIRE(none.ok());
  for (const FeatureScores& of : none.value()) {
    CHECK(std::isnan(of.psi));
    CHECK(std::isnan(of.missing_change));
  }
}
