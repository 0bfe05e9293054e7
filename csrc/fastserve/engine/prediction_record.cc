#include "fastserve/engine/prediction_record.h"

#include <cstring>
#include <limits>

namespace fastserve::engine {
namespace {

constexpr size_t kTensorHeaderBytes = 8;

size_t bytes_of(const TensorView& tensor) {
  if (tensor.name.size() > UINT16_MAX || tensor.data.size() > UINT32_MAX) return SIZE_MAX;
  return kTensorHeaderBytes + tensor.shape.rank() * sizeof(int64_t) + tensor.name.size() +
         tensor.data.size();
}

std::byte* put(std::byte* to, const void* from, size_t size) {
  if (size != 0) std::memcpy(to, from, size);
  return to + size;
}

std::byte* write(const TensorView& tensor, std::byte* to) {
  const auto data_bytes = static_cast<uint32_t>(tensor.data.size());
  const auto name_bytes = static_cast<uint16_t>(tensor.name.size());
  const auto rank = static_cast<uint8_t>(tensor.shape.rank());
  to = put(to, &data_bytes, sizeof data_bytes);
  to = put(to, &name_bytes, sizeof name_bytes);
  to = put(to, &rank, sizeof rank);
  to = put(to, &tensor.dtype, sizeof tensor.dtype);
  to = put(to, tensor.shape.data(), rank * sizeof(int64_t));
  to = put(to, tensor.name.data(), name_bytes);
  return put(to, tensor.data.data(), data_bytes);
}

}  // namespace

size_t tensor_bytes(const PredictionRecord& record) {
  if (record.outputs.size() >= UINT16_MAX) return SIZE_MAX;
  size_t total = 0;
  const auto add = [&](const TensorView& tensor) {
    const size_t size = bytes_of(tensor);
    total = size > std::numeric_limits<size_t>::max() - total ? SIZE_MAX : total + size;
  };
  if (record.segment != nullptr) add(*record.segment);
  for (const TensorView& output : record.outputs) add(output);
  return total;
}

void write_tensors(const PredictionRecord& record, std::byte* to) {
  if (record.segment != nullptr) to = write(*record.segment, to);
  for (const TensorView& output : record.outputs) to = write(output, to);
}

void read_tensors(ByteSpan from, size_t count, std::vector<TensorView>* tensors) {
  const std::byte* at = from.data();
  tensors->clear();
  for (size_t i = 0; i < count; ++i) {
    TensorView& tensor = tensors->emplace_back();
    const auto data_bytes = take<uint32_t>(&at);
    const auto name_bytes = take<uint16_t>(&at);
    const auto rank = take<uint8_t>(&at);
    tensor.dtype = take<DType>(&at);
    for (uint8_t axis = 0; axis < rank; ++axis) tensor.shape.push_back(take<int64_t>(&at));
    tensor.name = {reinterpret_cast<const char*>(at), name_bytes};
    at += name_bytes;
    tensor.data = {at, data_bytes};
    at += data_bytes;
  }
}

}  // namespace fastserve::engine
