#include "fastserve/runtime/output_value.h"

#include <bit>

#include "fastserve/runtime/element_type.h"
#include "fastserve/runtime/ort_error.h"

namespace fastserve::runtime {
namespace {

// Index of the input whose dynamic first axis `output`'s follows, -1 when there is none.
int find_rows_input(const Signature& signature, const TensorSpec& output) {
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    const TensorSpec& input = signature.inputs[i];
    if (input.shape.rank() == 0 || input.shape[0] != kDynamic) continue;
    if (input.symbols[0] == output.symbols[0] || output.symbols[0].empty()) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

bool overlaps(ByteSpan bytes, const void* address) {
  auto* place = static_cast<const std::byte*>(address);
  return !bytes.empty() && place >= bytes.data() && place < bytes.data() + bytes.size();
}

}  // namespace

OutputValue::OutputValue(const OrtLibrary& library, const Signature& signature, size_t index)
    : library_(library),
      spec_(signature.outputs[index]),
      element_(element_from_dtype(spec_.dtype)) {
  // Memory given for an output that the graph then leaves out would be taken for its answer.
  if (spec_.dtype == DType::kBytes || spec_.is_optional) return;
  for (size_t axis = 1; axis < spec_.shape.rank(); ++axis) {
    if (spec_.shape[axis] == kDynamic) return;
  }
  if (spec_.shape.rank() > 0 && spec_.shape[0] == kDynamic) {
    rows_input_ = find_rows_input(signature, spec_);
    if (rows_input_ < 0) return;
  }
  is_predictable_ = true;
}

bool OutputValue::predict(int64_t rows, Shape* shape, size_t* bytes) const {
  *shape = spec_.shape;
  if (rows_input_ >= 0) (*shape)[0] = rows;
  int64_t elements = 0;
  int64_t size = 0;
  if (!shape->element_count(&elements) ||
      !checked_multiply(elements, static_cast<int64_t>(dtype_size(spec_.dtype)), &size)) {
    return false;
  }
  *bytes = static_cast<size_t>(size);
  return *bytes > 0 && *bytes <= kMaxOwnBytes;
}

OrtValue* OutputValue::prepare(std::span<const RunInput> inputs) {
  allocated_.reset();
  given_ = nullptr;
  if (!is_predictable_) return nullptr;
  rows_ = 1;
  if (rows_input_ >= 0) {
    const Shape& shape = inputs[static_cast<size_t>(rows_input_)].shape;
    if (shape.rank() == 0) return nullptr;
    rows_ = shape[0];
  }
  if (entries_ == nullptr) return nullptr;
  const Entry& entry = (*entries_)[static_cast<uint64_t>(rows_) % kEntries];
  if (entry.rows == rows_) given_ = entry.value.get();
  return given_;
}

void OutputValue::stop_predicting() {
  is_predictable_ = false;
  given_ = nullptr;
  entries_.reset();
  memory_.reset();
}

void OutputValue::remember(int64_t rows, const Shape& shape, size_t bytes) {
  if (entries_ == nullptr) entries_ = std::make_unique<std::array<Entry, kEntries>>();
  if (bytes > memory_bytes_) {
    for (Entry& entry : *entries_) entry = {};
    memory_bytes_ = std::bit_ceil(bytes);
    memory_ = std::make_unique<std::byte[]>(memory_bytes_);
  }
  OrtValue* value = nullptr;
  if (OrtStatus* error = library_.api().CreateTensorWithDataAsOrtValue(
          library_.cpu(), memory_.get(), bytes, shape.data(), shape.rank(), element_, &value)) {
    library_.api().ReleaseStatus(error);
    return;
  }
  Entry& entry = (*entries_)[static_cast<uint64_t>(rows) % kEntries];
  entry.rows = rows;
  entry.value = {value, library_.api().ReleaseValue};
}

Status OutputValue::failed(OrtStatus* error) const {
  return take_error(library_.api(), error, Code::kInternal,
                    "cannot read output '" + spec_.name + "'");
}

Status OutputValue::read_shape(const OrtValue* value, Shape* shape) const {
  const OrtApi& api = library_.api();
  OrtTensorInfo* raw = nullptr;
  if (OrtStatus* error = api.GetTensorTypeAndShape(value, &raw)) return failed(error);
  OrtHandle<OrtTensorInfo> info(raw, api.ReleaseTensorInfo);
  size_t rank = 0;
  if (OrtStatus* error = api.GetDimensionsCount(raw, &rank)) return failed(error);
  if (rank > kMaxRank) {
    return {Code::kInternal, "output '" + spec_.name + "' has " + std::to_string(rank) +
                                 " dimensions, more than the supported " +
                                 std::to_string(kMaxRank)};
  }
  std::array<int64_t, kMaxRank> dims{};
  if (rank > 0) {
    if (OrtStatus* error = api.GetDimensions(raw, dims.data(), rank)) return failed(error);
  }
  *shape = Shape(std::span<const int64_t>(dims.data(), rank));
  return {};
}

Status OutputValue::read(OrtValue* value, std::span<const InputValue> inputs, RunOutput* output) {
  const OrtApi& api = library_.api();
  *output = {};
  output->dtype = spec_.dtype;
  if (given_ != nullptr && value == given_) {
    size_t bytes = 0;
    if (!predict(rows_, &output->shape, &bytes)) {
      return {Code::kInternal, "output '" + spec_.name + "' lost its shape"};
    }
    output->data = {memory_.get(), bytes};
    output->present = true;
    return {};
  }

  allocated_ = {value, api.ReleaseValue};
  int has_value = 0;
  if (value != nullptr) {
    if (OrtStatus* error = api.HasValue(value, &has_value)) return failed(error);
  }
  if (has_value == 0) return {};
  Status status = read_shape(value, &output->shape);
  if (!status.ok()) return status;
  int64_t elements = 0;
  if (!output->shape.element_count(&elements)) {
    return {Code::kInternal,
            "output '" + spec_.name + "' has the impossible shape " + output->shape.to_string()};
  }
  if (spec_.dtype == DType::kBytes) {
    status = strings_.read(api, value, static_cast<size_t>(elements), &output->data);
    output->present = status.ok();
    return status;
  }
  void* data = nullptr;
  if (OrtStatus* error = api.GetTensorMutableData(value, &data)) return failed(error);
  size_t bytes = static_cast<size_t>(elements) * dtype_size(spec_.dtype);
  output->data = {static_cast<const std::byte*>(data), bytes};
  output->present = true;

  for (const InputValue& input : inputs) {
    if (!overlaps(input.prepared_bytes(), data)) continue;
    // The graph hands an input on as an output: no operator would write to our memory, and the
    // caller's memory may go before the answer is sent.
    stop_predicting();
    copy_.clear();
    copy_.append(output->data);
    output->data = copy_.bytes();
    return {};
  }
  Shape predicted;
  size_t predicted_bytes = 0;
  if (is_predictable_ && predict(rows_, &predicted, &predicted_bytes)) {
    if (predicted == output->shape) {
      remember(rows_, predicted, predicted_bytes);
    } else {
      stop_predicting();
    }
  }
  return {};
}

}  // namespace fastserve::runtime
