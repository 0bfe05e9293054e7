#include "fastserve/runtime/input_value.h"

#include <cstring>

#include "fastserve/runtime/element_type.h"
#include "fastserve/runtime/ort_error.h"
#include "fastserve/runtime/string_tensor.h"

namespace fastserve::runtime {
namespace {

// What a value of no elements points at; a null address is refused.
alignas(16) std::byte g_nothing[16];

}  // namespace

InputValue::InputValue(const OrtLibrary& library, const TensorSpec& spec)
    : library_(library),
      name_(spec.name),
      dtype_(spec.dtype),
      element_(element_from_dtype(spec.dtype)),
      element_bytes_(dtype_size(spec.dtype)) {}

Status InputValue::prepare(const RunInput& input, OrtValue** value) {
  int64_t elements = 0;
  if (!input.shape.element_count(&elements)) {
    return invalid_argument("input '" + name_ + "' has the impossible shape " +
                            input.shape.to_string());
  }
  if (dtype_ == DType::kBytes) return prepare_strings(input, static_cast<size_t>(elements), value);
  // Divided, not multiplied: elements * size may not fit.
  if (input.data.size() / element_bytes_ != static_cast<size_t>(elements) ||
      input.data.size() % element_bytes_ != 0) {
    return invalid_argument("input '" + name_ + "' of shape " + input.shape.to_string() +
                            " holds " + std::to_string(input.data.size()) + " bytes, expected " +
                            std::to_string(elements) + " elements of " +
                            std::to_string(element_bytes_));
  }

  const std::byte* data = input.data.empty() ? g_nothing : input.data.data();
  if (!input.data.empty() && input.data.size() <= kStagedBytes) {
    if (staged_ == nullptr) staged_ = std::make_unique<std::byte[]>(kStagedBytes);
    std::memcpy(staged_.get(), data, input.data.size());
    data = staged_.get();
  }
  prepared_ = {data, input.data.size()};
  auto place = static_cast<uint64_t>(input.shape.rank() > 0 ? input.shape[0] : 0);
  Entry& entry = entries_[place % kEntries];
  if (!entry.value || entry.data != data || !(entry.shape == input.shape)) {
    OrtValue* made = nullptr;
    // ONNX Runtime takes a mutable address for inputs too; it writes to none.
    if (OrtStatus* error = library_.api().CreateTensorWithDataAsOrtValue(
            library_.cpu(), const_cast<std::byte*>(data), input.data.size(), input.shape.data(),
            input.shape.rank(), element_, &made)) {
      return take_error(library_.api(), error, Code::kInternal, "input '" + name_ + "'");
    }
    entry.value = {made, library_.api().ReleaseValue};
    entry.data = data;
    entry.shape = input.shape;
  }
  *value = entry.value.get();
  return {};
}

Status InputValue::prepare_strings(const RunInput& input, size_t elements, OrtValue** value) {
  // A declared shape must not make memory that the bytes do not back: an element takes 4 bytes or
  // more.
  if (elements > input.data.size() / 4) {
    return invalid_argument("BYTES data of input '" + name_ + "' ends before its " +
                            std::to_string(elements) + " elements: got " +
                            std::to_string(input.data.size()) + " bytes");
  }
  const OrtApi& api = library_.api();
  Entry& entry = entries_[0];
  if (!entry.value || !(entry.shape == input.shape)) {
    OrtValue* made = nullptr;
    if (OrtStatus* error = api.CreateTensorAsOrtValue(library_.allocator(), input.shape.data(),
                                                      input.shape.rank(), element_, &made)) {
      return take_error(api, error, Code::kInternal, "input '" + name_ + "'");
    }
    entry.value = {made, api.ReleaseValue};
    entry.shape = input.shape;
  }
  *value = entry.value.get();
  return fill_string_tensor(api, name_, input.data, elements, *value);
}

}  // namespace fastserve::runtime
