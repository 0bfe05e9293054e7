#include "fastserve/runtime/introspect.h"

#include <array>

#include "fastserve/runtime/element_type.h"
#include "fastserve/runtime/ort_error.h"

namespace fastserve::runtime {
namespace {

std::string_view kind_name(int kind) {
  switch (kind) {
    case kOrtSequence:
      return "a sequence";
    case kOrtMap:
      return "a map";
    case kOrtOpaque:
      return "an opaque value";
    case kOrtSparseTensor:
      return "a sparse tensor";
    case kOrtOptional:
      return "an optional value that is not a tensor";
    default:
      return "a value of an unknown kind";
  }
}

class Introspection {
 public:
  Introspection(const OrtLibrary& library, const OrtSession* session)
      : library_(library), api_(library.api()), session_(session) {}

  Result<std::vector<TensorSpec>> read(bool is_input) const {
    size_t count = 0;
    Status status = check(
        (is_input ? api_.SessionGetInputCount : api_.SessionGetOutputCount)(session_, &count));
    if (!status.ok()) return status;
    std::vector<TensorSpec> specs(count);
    for (size_t i = 0; i < count; ++i) {
      status = read_one(is_input, i, &specs[i]);
      if (!status.ok()) return status;
    }
    return specs;
  }

 private:
  Status check(OrtStatus* error) const {
    if (error == nullptr) return {};
    return take_error(api_, error, Code::kInternal, "cannot read the model's signature");
  }

  Status read_one(bool is_input, size_t index, TensorSpec* spec) const {
    char* name = nullptr;
    Status status = check((is_input ? api_.SessionGetInputName : api_.SessionGetOutputName)(
        session_, index, library_.allocator(), &name));
    if (!status.ok()) return status;
    spec->name = library_.take_text(name);

    OrtTypeInfo* raw = nullptr;
    status = check((is_input ? api_.SessionGetInputTypeInfo : api_.SessionGetOutputTypeInfo)(
        session_, index, &raw));
    if (!status.ok()) return status;
    OrtHandle<OrtTypeInfo> type(raw, api_.ReleaseTypeInfo);
    std::string what =
        std::string(is_input ? "input" : "output") + " '" + spec->name + "' of the model";
    return read_type(what, type.get(), /*inside_optional=*/false, spec);
  }

  Status read_type(const std::string& what, const OrtTypeInfo* type, bool inside_optional,
                   TensorSpec* spec) const {
    int kind = 0;
    Status status = check(api_.GetOnnxTypeFromTypeInfo(type, &kind));
    if (!status.ok()) return status;
    if (kind == kOrtOptional && !inside_optional) {
      const OrtOptionalInfo* optional = nullptr;
      status = check(api_.CastTypeInfoToOptionalInfo(type, &optional));
      if (!status.ok()) return status;
      OrtTypeInfo* raw = nullptr;
      status = check(api_.GetOptionalContainedTypeInfo(optional, &raw));
      if (!status.ok()) return status;
      OrtHandle<OrtTypeInfo> contained(raw, api_.ReleaseTypeInfo);
      spec->is_optional = true;
      return read_type(what, contained.get(), /*inside_optional=*/true, spec);
    }
    if (kind != kOrtTensor) {
      return {Code::kUnimplemented,
              what + " is " + std::string(kind_name(inside_optional ? kOrtOptional : kind)) +
                  "; only dense tensors can be served. Export the model without it"};
    }
    const OrtTensorInfo* tensor = nullptr;
    status = check(api_.CastTypeInfoToTensorInfo(type, &tensor));
    if (!status.ok()) return status;
    return read_tensor(what, tensor, spec);
  }

  Status read_tensor(const std::string& what, const OrtTensorInfo* tensor, TensorSpec* spec) const {
    int element = 0;
    Status status = check(api_.GetTensorElementType(tensor, &element));
    if (!status.ok()) return status;
    spec->dtype = dtype_from_element(element);
    if (spec->dtype == DType::kInvalid) {
      return {Code::kUnimplemented, what + " is a tensor of " + std::string(element_name(element)) +
                                        ", which the protocol cannot name. Add a Cast to a type "
                                        "such as float at this end of the graph"};
    }
    size_t rank = 0;
    status = check(api_.GetDimensionsCount(tensor, &rank));
    if (!status.ok()) return status;
    if (rank > kMaxRank) {
      return {Code::kUnimplemented, what + " has " + std::to_string(rank) +
                                        " dimensions, more than the supported " +
                                        std::to_string(kMaxRank)};
    }
    std::array<int64_t, kMaxRank> dims{};
    std::array<const char*, kMaxRank> symbols{};
    if (rank > 0) {
      status = check(api_.GetDimensions(tensor, dims.data(), rank));
      if (!status.ok()) return status;
      status = check(api_.GetSymbolicDimensions(tensor, symbols.data(), rank));
      if (!status.ok()) return status;
    }
    for (size_t axis = 0; axis < rank; ++axis) {
      bool is_dynamic = dims[axis] < 0;
      spec->shape.push_back(is_dynamic ? kDynamic : dims[axis]);
      const char* symbol = is_dynamic ? symbols[axis] : nullptr;
      spec->symbols.emplace_back(symbol == nullptr ? "" : symbol);
    }
    return {};
  }

  const OrtLibrary& library_;
  const OrtApi& api_;
  const OrtSession* session_;
};

}  // namespace

Result<Signature> read_signature(const OrtLibrary& library, const OrtSession* session) {
  Introspection introspection(library, session);
  Result<std::vector<TensorSpec>> inputs = introspection.read(/*is_input=*/true);
  if (!inputs.ok()) return inputs.status();
  Result<std::vector<TensorSpec>> outputs = introspection.read(/*is_input=*/false);
  if (!outputs.ok()) return outputs.status();
  return Signature{std::move(*inputs), std::move(*outputs)};
}

Result<ModelMetadata> read_metadata(const OrtLibrary& library, const OrtSession* session) {
  const OrtApi& api = library.api();
  auto failed = [&api](OrtStatus* error) {
    return take_error(api, error, Code::kInternal, "cannot read the model's metadata");
  };
  OrtModelMetadata* raw = nullptr;
  if (OrtStatus* error = api.SessionGetModelMetadata(session, &raw)) return failed(error);
  OrtHandle<OrtModelMetadata> model(raw, api.ReleaseModelMetadata);

  ModelMetadata metadata;
  const std::pair<OrtCalls::MetadataGetText*, std::string*> texts[] = {
      {api.MetadataGetProducerName, &metadata.producer},
      {api.MetadataGetGraphName, &metadata.graph_name},
      {api.MetadataGetDomain, &metadata.domain},
      {api.MetadataGetDescription, &metadata.description},
  };
  for (const auto& [get, to] : texts) {
    char* text = nullptr;
    if (OrtStatus* error = get(model.get(), library.allocator(), &text)) return failed(error);
    *to = library.take_text(text);
  }
  if (OrtStatus* error = api.MetadataGetVersion(model.get(), &metadata.version)) {
    return failed(error);
  }
  char** keys = nullptr;
  int64_t count = 0;
  if (OrtStatus* error = api.MetadataGetKeys(model.get(), library.allocator(), &keys, &count)) {
    return failed(error);
  }
  for (int64_t i = 0; i < count; ++i) {
    char* value = nullptr;
    std::string key = keys[i];
    OrtStatus* error = api.MetadataLookup(model.get(), library.allocator(), key.c_str(), &value);
    if (error != nullptr) api.ReleaseStatus(error);
    metadata.custom.emplace_back(std::move(key), library.take_text(value));
    library.take_text(keys[i]);
  }
  if (keys != nullptr) {
    if (OrtStatus* error = api.AllocatorFree(library.allocator(), keys)) api.ReleaseStatus(error);
  }
  return metadata;
}

}  // namespace fastserve::runtime
