// TableSketch: everything that is kept of the rows of one model version in one window of time.
//
// For each feature of the schema: Moments and a QuantileSketch, or a CategorySketch; at most 4 KB.
// Rows wait in a block for each tensor of numbers until there are enough to sort at once
// (column_block.h). Readers see them all the same: they look at a copy in which the waiting rows
// have been added, so when somebody reads does not change what the sketch becomes.
//
// The same calls in the same order give the same bytes on every machine and instruction set.
//
// Thread: none of its own; one at a time may change it, any number may read while nobody does.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/sketch/category_columns.h"
#include "fastserve/sketch/distribution.h"
#include "fastserve/sketch/number_columns.h"
#include "fastserve/sketch/table_schema.h"

namespace fastserve::sketch {

// What a feature is like. Fields that do not apply to its kind are NaN, 0 or empty.
struct FeatureSummary {
  uint64_t count = 0;
  uint64_t missing = 0;
  uint64_t infinite = 0;
  uint64_t zeros = 0;
  double minimum = 0;
  double maximum = 0;
  double mean = 0;
  double deviation = 0;
  double distinct = 0;
  std::vector<HeavyHitter> top;
};

// A feature of numbers, as scores and quantiles need it.
struct NumberFeature {
  Moments moments;
  Distribution distribution;
};

class TableSketch {
 public:
  static constexpr uint64_t kDefaultSeed = 0x66617374;

  explicit TableSketch(std::shared_ptr<const TableSchema> schema, uint64_t seed = kDefaultSeed);

  const TableSchema& schema() const { return *schema_; }
  const std::shared_ptr<const TableSchema>& shared_schema() const { return schema_; }
  // The most rows that any tensor got: rows of the table once every tensor of a batch was added.
  uint64_t rows() const;
  // Memory held, the schema aside.
  size_t size_bytes() const;

  // Adds rows of one tensor in raw form (tensor_view.h), rows in order, of any alignment. Nothing
  // is added on error. Errors: kInvalidArgument with tensor, got and expected.
  Status add(size_t tensor, int64_t rows, ByteSpan data);
  // Adds what `other` saw. Errors: kInvalidArgument, another schema.
  Status merge(const TableSketch& other);

  // The container of docs/sketches.md.
  std::string serialize() const;
  // Reads it; every byte is checked, memory is in proportion to them. Errors: kInvalidArgument for
  // what is not such a container or of a later version, kDataLoss with the place where it is
  // damaged.
  static Result<TableSketch> parse(ByteSpan bytes);

  // Below, kInvalidArgument where the schema has no such feature or it is of the other kind.
  Result<FeatureSummary> summary(size_t feature) const;
  Result<NumberFeature> number(size_t feature) const;
  // Only for a category feature.
  const CategorySketch* category(size_t feature) const;
  // The bytes of the feature's quantile sketch, for DataSketches.
  Result<std::string> quantile_sketch(size_t feature) const;
  // The same of its distinct values.
  Result<std::string> distinct_sketch(size_t feature) const;

 private:
  using Columns = std::variant<NumberColumns<float>, NumberColumns<double>, CategoryColumns>;

  Status check_feature(size_t feature) const;
  Status check_number(size_t feature) const;
  template <typename Visit>
  auto visit_number(size_t feature, Visit visit) const;
  Status restore(size_t feature, ByteSpan payload);

  std::shared_ptr<const TableSchema> schema_;
  uint64_t seed_;
  std::vector<uint64_t> rows_;    // by tensor
  std::vector<Columns> columns_;  // by tensor
};

}  // namespace fastserve::sketch
