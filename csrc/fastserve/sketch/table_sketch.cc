#include "fastserve/sketch/table_sketch.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "fastserve/base/quoted.h"
#include "fastserve/sketch/kll_format.h"
#include "fastserve/sketch/projection.h"
#include "fastserve/sketch/random.h"
#include "fastserve/tensor/half.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::sketch {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

template <typename C>
constexpr bool kIsCategory = std::is_same_v<std::remove_cvref_t<C>, CategoryColumns>;

// Writes rows of the tensor's own elements as numbers.
template <typename T>
void fill_elements(DType dtype, const std::byte* from, size_t rows, size_t elements, T* out,
                   size_t stride) {
  const size_t row_bytes = elements * dtype_size(dtype);
  if (stride == elements && dtype_size(dtype) == sizeof(T)) {
    std::memcpy(out, from, rows * row_bytes);
    return;
  }
  for (size_t row = 0; row < rows; ++row, from += row_bytes, out += stride) {
    if constexpr (std::is_same_v<T, float>) {
      if (dtype == DType::kFp16) {
        floats_from_halves(from, elements, out);
        continue;
      }
      if (dtype == DType::kBf16) {
        floats_from_bfloats(from, elements, out);
        continue;
      }
    }
    std::memcpy(out, from, row_bytes);
  }
}

template <typename T>
void fill_derived(DType dtype, const std::byte* from, size_t rows, size_t elements, T* out,
                  size_t stride) {
  for (size_t row = 0; row < rows; ++row, from += elements * dtype_size(dtype), out += stride) {
    double derived[kDerivedFeatures];
    derive_row(dtype, from, elements, derived);
    for (size_t i = 0; i < kDerivedFeatures; ++i) out[i] = static_cast<T>(derived[i]);
  }
}

// How many elements each row has. Errors: kInvalidArgument when the bytes do not fit.
Result<int64_t> elements_of_row(const TensorColumns& tensor, int64_t rows, ByteSpan data) {
  const auto refuse = [&](const std::string& what) -> Status {
    return invalid_argument("tensor " + quoted(tensor.name) + ": " + what);
  };
  if (rows < 0) return refuse("got " + std::to_string(rows) + " rows, expected 0 or more");
  int64_t got = 0;
  if (tensor.dtype == DType::kBytes) {
    got = count_texts(data);
    if (got < 0) return refuse("its data does not end with a BYTES element");
  } else {
    const size_t size = dtype_size(tensor.dtype);
    if (data.size() % size != 0) {
      return refuse("got " + std::to_string(data.size()) + " bytes, which is no number of " +
                    std::string(dtype_name(tensor.dtype)) + " elements");
    }
    got = static_cast<int64_t>(data.size() / size);
  }
  if (tensor.elements == kVariableElements) {
    if (rows == 0 ? got != 0 : got % rows != 0) {
      return refuse("got " + std::to_string(got) + " elements for " + std::to_string(rows) +
                    " rows, expected equally many for each row");
    }
    return rows == 0 ? int64_t{0} : got / rows;
  }
  int64_t expected = 0;
  if (!checked_multiply(rows, tensor.elements, &expected) || got != expected) {
    return refuse("got " + std::to_string(got) + " elements for " + std::to_string(rows) +
                  " rows, expected " + std::to_string(tensor.elements) + " for each row");
  }
  return tensor.elements;
}

FeatureSummary summary_of(const Moments& moments) {
  const bool has_values = moments.finite() > 0;
  FeatureSummary summary;
  summary.count = moments.count;
  summary.missing = moments.missing;
  summary.infinite = moments.infinite;
  summary.zeros = moments.zeros;
  summary.minimum = has_values ? moments.minimum : kNone;
  summary.maximum = has_values ? moments.maximum : kNone;
  summary.mean = has_values ? moments.mean : kNone;
  summary.deviation = moments.deviation();
  summary.distinct = kNone;
  return summary;
}

FeatureSummary summary_of(const CategorySketch& category) {
  FeatureSummary summary;
  summary.count = category.count();
  summary.missing = category.missing();
  summary.minimum = summary.maximum = summary.mean = summary.deviation = kNone;
  summary.distinct = category.distinct();
  summary.top = category.top();
  return summary;
}

}  // namespace

TableSketch::TableSketch(std::shared_ptr<const TableSchema> schema, uint64_t seed)
    : schema_(std::move(schema)), seed_(seed), rows_(schema_->tensors().size()) {
  columns_.reserve(rows_.size());
  for (size_t tensor = 0; tensor < rows_.size(); ++tensor) {
    const size_t first = schema_->first_feature(tensor);
    const size_t count = schema_->first_feature(tensor + 1) - first;
    const DType dtype = schema_->tensors()[tensor].dtype;
    const uint64_t columns_seed = mix(seed + first);
    if (count > 0 && !is_number(schema_->features()[first].kind)) {
      columns_.emplace_back(CategoryColumns(dtype, count));
    } else if (dtype == DType::kFp64) {
      columns_.emplace_back(NumberColumns<double>(count, columns_seed));
    } else {
      columns_.emplace_back(NumberColumns<float>(count, columns_seed));
    }
  }
}

uint64_t TableSketch::rows() const {
  return rows_.empty() ? 0 : *std::max_element(rows_.begin(), rows_.end());
}

size_t TableSketch::size_bytes() const {
  size_t bytes =
      sizeof(*this) + rows_.capacity() * sizeof(uint64_t) + columns_.capacity() * sizeof(Columns);
  for (const Columns& columns : columns_) {
    bytes += std::visit([](const auto& of) { return of.heap_bytes(); }, columns);
  }
  return bytes;
}

Status TableSketch::add(size_t tensor, int64_t rows, ByteSpan data) {
  if (tensor >= columns_.size()) {
    return invalid_argument("there is no tensor " + std::to_string(tensor) + ", the schema has " +
                            std::to_string(columns_.size()));
  }
  const TensorColumns& of = schema_->tensors()[tensor];
  Result<int64_t> elements = elements_of_row(of, rows, data);
  if (!elements.ok()) return elements.status();
  const auto count = static_cast<size_t>(rows);
  const auto width = static_cast<size_t>(*elements);
  rows_[tensor] += count;
  if (schema_->first_feature(tensor) == schema_->first_feature(tensor + 1)) return ok_status();
  const auto add_to = [&]<typename C>(C& columns) {
    if constexpr (kIsCategory<C>) {
      if (of.dtype == DType::kBytes) return columns.add_texts(data);
      columns.add_integers(count * width, data.data());
    } else {
      const size_t row_bytes = width * dtype_size(of.dtype);
      const bool is_derived = of.is_derived();
      columns.add(count, [&](size_t first, size_t many, auto* out, size_t stride) {
        const std::byte* from = data.data() + first * row_bytes;
        is_derived ? fill_derived(of.dtype, from, many, width, out, stride)
                   : fill_elements(of.dtype, from, many, width, out, stride);
      });
    }
  };
  std::visit(add_to, columns_[tensor]);
  return ok_status();
}

Status TableSketch::merge(const TableSketch& other) {
  if (!(schema() == other.schema())) {
    return invalid_argument(
        "the other sketch has another schema: " + std::to_string(other.schema().features().size()) +
        " features of " + std::to_string(other.rows_.size()) + " tensors, expected the same " +
        std::to_string(schema().features().size()) + " of " + std::to_string(rows_.size()));
  }
  for (size_t tensor = 0; tensor < rows_.size(); ++tensor) {
    if (rows_[tensor] + other.rows_[tensor] >= kMaxCount) {
      return invalid_argument("tensor " + quoted(schema().tensors()[tensor].name) +
                              ": the sum of both has 2^60 rows or more");
    }
  }
  for (size_t tensor = 0; tensor < rows_.size(); ++tensor) {
    rows_[tensor] += other.rows_[tensor];
    std::visit([&]<typename C>(C& columns) { columns.merge(std::get<C>(other.columns_[tensor])); },
               columns_[tensor]);
  }
  return ok_status();
}

// Calls with the NumberSketch of a number feature, waiting rows added.
template <typename Visit>
auto TableSketch::visit_number(size_t feature, Visit visit) const {
  const size_t tensor = schema().features()[feature].tensor;
  const size_t column = feature - schema().first_feature(tensor);
  if (const auto* columns = std::get_if<NumberColumns<double>>(&columns_[tensor])) {
    return visit(columns->settled(column));
  }
  return visit(std::get<NumberColumns<float>>(columns_[tensor]).settled(column));
}

Status TableSketch::check_feature(size_t feature) const {
  const size_t features = schema().features().size();
  if (feature < features) return ok_status();
  return invalid_argument("there is no feature " + std::to_string(feature) + ", the schema has " +
                          std::to_string(features));
}

Result<FeatureSummary> TableSketch::summary(size_t feature) const {
  if (Status status = check_feature(feature); !status.ok()) return status;
  if (const CategorySketch* category = this->category(feature); category != nullptr) {
    return summary_of(*category);
  }
  return visit_number(feature, [](const auto& sketch) { return summary_of(sketch.moments); });
}

Result<NumberFeature> TableSketch::number(size_t feature) const {
  if (Status status = check_number(feature); !status.ok()) return status;
  return visit_number(feature, [](const auto& sketch) {
    return NumberFeature{sketch.moments, Distribution(sketch.quantiles)};
  });
}

Result<std::string> TableSketch::quantile_sketch(size_t feature) const {
  if (Status status = check_number(feature); !status.ok()) return status;
  return visit_number(feature, [](const auto& sketch) { return sketch.quantiles.serialize(); });
}

Result<std::string> TableSketch::distinct_sketch(size_t feature) const {
  if (Status status = check_feature(feature); !status.ok()) return status;
  const CategorySketch* category = this->category(feature);
  if (category != nullptr) return category->distinct_sketch();
  return invalid_argument("feature " + quoted(schema().features()[feature].name) +
                          " is a number; distinct values are kept of categories");
}

const CategorySketch* TableSketch::category(size_t feature) const {
  if (feature >= schema().features().size()) return nullptr;
  const size_t tensor = schema().features()[feature].tensor;
  const auto* columns = std::get_if<CategoryColumns>(&columns_[tensor]);
  return columns == nullptr ? nullptr : &columns->feature(feature - schema().first_feature(tensor));
}

Status TableSketch::check_number(size_t feature) const {
  if (Status status = check_feature(feature); !status.ok()) return status;
  const Feature& of = schema().features()[feature];
  if (is_number(of.kind)) return ok_status();
  return invalid_argument("feature " + quoted(of.name) +
                          " is a category; quantiles are kept of numbers");
}

}  // namespace fastserve::sketch
