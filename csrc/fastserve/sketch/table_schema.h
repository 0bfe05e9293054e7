// TableSchema: which features a model's tensors have.
//
// A row of a tensor has `elements` elements. Up to kMaxRowElements of them are features by
// themselves: `number` for floating point, `category` for integers, booleans and BYTES. Of wider
// rows (embeddings, images, logits over a vocabulary) and of rows whose length varies a few numbers
// are derived: their L2 norm, their mean and four random projections (projection.h). BYTES have
// neither norm nor mean: the elements of such rows are pooled into one category.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/tensor/dtype.h"

namespace fastserve::sketch {

// Rows wider than this are summarised by derived numbers. 128 features of 4 KB are half a megabyte.
inline constexpr int64_t kMaxRowElements = 128;
inline constexpr int64_t kVariableElements = -1;
inline constexpr size_t kProjections = 4;
// What a derived tensor has: norm, mean, projections.
inline constexpr size_t kDerivedFeatures = 2 + kProjections;
inline constexpr size_t kMaxTensors = 1024;
inline constexpr size_t kMaxFeatures = 16384;  // 64 MB of sketches
inline constexpr size_t kMaxNameBytes = 1024;

enum class FeatureKind : uint8_t { kNumber, kCategory, kNorm, kMean, kProjection };
// "number", "category", "norm", "mean", "projection".
std::string_view kind_name(FeatureKind kind);
inline bool is_number(FeatureKind kind) { return kind != FeatureKind::kCategory; }

struct TensorColumns {
  std::string name;
  bool is_input = false;
  DType dtype = DType::kInvalid;
  int64_t elements = 1;  // of a row; kVariableElements where requests choose

  bool is_derived() const { return elements < 0 || elements > kMaxRowElements; }
  bool operator==(const TensorColumns&) const = default;
};

struct Feature {
  std::string name;  // `tensor`, `tensor[i]`, `tensor.norm`, `tensor.mean`, `tensor.projection[i]`
  uint32_t tensor = 0;
  FeatureKind kind = FeatureKind::kNumber;
  uint32_t index = 0;  // of the element or the projection; 0 where there is one
};

class TableSchema {
 public:
  // Errors: kInvalidArgument, naming the tensor: no name or one too long, a name that stands twice
  // among inputs or among outputs, no data type, elements below -1, too many tensors or features.
  // A tensor of 0 elements has no features.
  static Result<TableSchema> make(std::vector<TensorColumns> tensors);

  const std::vector<TensorColumns>& tensors() const { return tensors_; }
  // In the order of the tensors, and within a tensor of the elements.
  const std::vector<Feature>& features() const { return features_; }
  // The features of a tensor are [first_feature(t), first_feature(t + 1)).
  size_t first_feature(size_t tensor) const { return first_feature_[tensor]; }
  bool operator==(const TableSchema& other) const { return tensors_ == other.tensors_; }

 private:
  TableSchema() = default;

  std::vector<TensorColumns> tensors_;
  std::vector<Feature> features_;
  std::vector<uint32_t> first_feature_;  // one more than there are tensors
};

}  // namespace fastserve::sketch
