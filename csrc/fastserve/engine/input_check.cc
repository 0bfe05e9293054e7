#include "fastserve/engine/input_check.h"

#include "fastserve/base/quoted.h"
#include "fastserve/wire/infer_request.h"

namespace fastserve::engine {
namespace {

std::string for_model(const Version& version) {
  return " for model '" + version.config().model + "'";
}

}  // namespace

Status wrong_shape(const Version& version, size_t index, const std::string& got) {
  const runtime::TensorSpec& spec = version.wire().inputs[index];
  return invalid_argument("unexpected shape for input " + quoted(spec.name) + for_model(version) +
                          ". Expected " + spec.shape.to_string() + ", got " + got);
}

bool fits(const Shape& shape, const Shape& expected) {
  if (shape.rank() != expected.rank()) return false;
  for (size_t axis = 0; axis < expected.rank(); ++axis) {
    if (shape[axis] < 0) return false;
    if (expected[axis] != kDynamic && expected[axis] != shape[axis]) return false;
  }
  return true;
}

bool count(const Shape& shape, DType dtype, InputSize* size) {
  return shape.element_count(&size->elements) &&
         checked_multiply(size->elements, static_cast<int64_t>(dtype_size(dtype)), &size->bytes);
}

Status too_many_elements(const Version& version, size_t index, const Shape& shape) {
  return invalid_argument("shape " + shape.to_string() + " of input " +
                          quoted(version.wire().inputs[index].name) + for_model(version) +
                          " has too many elements");
}

Status check_raw_data(const Version& version, size_t index, const InputSize& size, ByteSpan data) {
  const runtime::TensorSpec& spec = version.wire().inputs[index];
  if (spec.dtype == DType::kBytes) {
    return wire::check_bytes_tensor(data, size.elements, spec.name);
  }
  if (data.size() == static_cast<uint64_t>(size.bytes)) return ok_status();
  return invalid_argument("input byte size mismatch for input " + quoted(spec.name) +
                          for_model(version) + ". Expected " + std::to_string(size.bytes) +
                          ", got " + std::to_string(data.size()));
}

Status unequal_rows(const Version& version, std::string_view name, int64_t rows,
                    std::string_view first_name, int64_t expected) {
  return invalid_argument("input " + quoted(name) + " batch size does not match other inputs" +
                          for_model(version) + ": got " + std::to_string(rows) +
                          " rows, expected " + std::to_string(expected) + " as in input " +
                          quoted(first_name));
}

}  // namespace fastserve::engine
