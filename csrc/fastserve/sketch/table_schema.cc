#include "fastserve/sketch/table_schema.h"

#include <set>
#include <utility>

#include "fastserve/base/quoted.h"

namespace fastserve::sketch {
namespace {

Status check(const TensorColumns& tensor) {
  if (tensor.name.empty() || tensor.name.size() > kMaxNameBytes) {
    return invalid_argument("a tensor's name has " + std::to_string(tensor.name.size()) +
                            " bytes, expected 1 to " + std::to_string(kMaxNameBytes));
  }
  if (tensor.dtype == DType::kInvalid || tensor.dtype > DType::kBytes) {
    return invalid_argument("tensor " + quoted(tensor.name) +
                            " has no data type of the protocol, expected one such as FP32");
  }
  if (tensor.elements < kVariableElements) {
    return invalid_argument("tensor " + quoted(tensor.name) + " has " +
                            std::to_string(tensor.elements) +
                            " elements in a row, expected 0 or more, or -1 where it varies");
  }
  return ok_status();
}

std::string indexed(std::string name, size_t index) {
  return std::move(name) + "[" + std::to_string(index) + "]";
}

void append_features(const TensorColumns& tensor, uint32_t number, std::vector<Feature>* features) {
  if (!tensor.is_derived()) {
    const FeatureKind kind =
        is_floating(tensor.dtype) ? FeatureKind::kNumber : FeatureKind::kCategory;
    for (int64_t i = 0; i < tensor.elements; ++i) {
      const auto index = static_cast<uint32_t>(i);
      features->push_back(
          {tensor.elements == 1 ? tensor.name : indexed(tensor.name, index), number, kind, index});
    }
    return;
  }
  if (tensor.dtype == DType::kBytes) {
    features->push_back({tensor.name, number, FeatureKind::kCategory, 0});
    return;
  }
  features->push_back({tensor.name + ".norm", number, FeatureKind::kNorm, 0});
  features->push_back({tensor.name + ".mean", number, FeatureKind::kMean, 0});
  for (uint32_t i = 0; i < kProjections; ++i) {
    features->push_back(
        {indexed(tensor.name + ".projection", i), number, FeatureKind::kProjection, i});
  }
}

}  // namespace

std::string_view kind_name(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::kNumber:
      return "number";
    case FeatureKind::kCategory:
      return "category";
    case FeatureKind::kNorm:
      return "norm";
    case FeatureKind::kMean:
      return "mean";
    case FeatureKind::kProjection:
      return "projection";
  }
  return "number";
}

Result<TableSchema> TableSchema::make(std::vector<TensorColumns> tensors) {
  if (tensors.size() > kMaxTensors) {
    return invalid_argument("a schema of " + std::to_string(tensors.size()) +
                            " tensors, expected at most " + std::to_string(kMaxTensors));
  }
  TableSchema schema;
  std::set<std::pair<bool, std::string_view>> names;
  for (const TensorColumns& tensor : tensors) {
    if (Status status = check(tensor); !status.ok()) return status;
    if (!names.emplace(tensor.is_input, tensor.name).second) {
      return invalid_argument("tensor " + quoted(tensor.name) + " stands twice among the " +
                              (tensor.is_input ? "inputs" : "outputs"));
    }
    const auto number = static_cast<uint32_t>(schema.first_feature_.size());
    schema.first_feature_.push_back(static_cast<uint32_t>(schema.features_.size()));
    append_features(tensor, number, &schema.features_);
    if (schema.features_.size() > kMaxFeatures) {
      return invalid_argument("with tensor " + quoted(tensor.name) + " the schema has more than " +
                              std::to_string(kMaxFeatures) + " features; leave some tensors out");
    }
  }
  schema.first_feature_.push_back(static_cast<uint32_t>(schema.features_.size()));
  schema.tensors_ = std::move(tensors);
  return schema;
}

}  // namespace fastserve::sketch
