#include "fastserve/sketch/category_columns.h"

#include <cstring>

namespace fastserve::sketch {
namespace {

template <typename T>
void add_elements(size_t elements, const std::byte* data, std::vector<CategorySketch>* features) {
  const size_t columns = features->size();
  for (size_t done = 0; done < elements; done += columns) {
    for (size_t i = 0; i < columns; ++i, data += sizeof(T)) {
      T value;
      std::memcpy(&value, data, sizeof(T));
      // Signed values keep their sign in the wider type.
      (*features)[i].add_integer(static_cast<uint64_t>(static_cast<int64_t>(value)));
    }
  }
}

}  // namespace

void CategoryColumns::add_integers(size_t elements, const std::byte* data) {
  switch (dtype_) {
    case DType::kBool:
      // Any byte but 0 is true, as for ONNX Runtime and NumPy.
      for (size_t i = 0; i < elements; ++i) {
        features_[i % features_.size()].add_integer(data[i] == std::byte{0} ? 0 : 1);
      }
      return;
    case DType::kUint8:
      return add_elements<uint8_t>(elements, data, &features_);
    case DType::kUint16:
      return add_elements<uint16_t>(elements, data, &features_);
    case DType::kUint32:
      return add_elements<uint32_t>(elements, data, &features_);
    case DType::kUint64:
      return add_elements<uint64_t>(elements, data, &features_);
    case DType::kInt8:
      return add_elements<int8_t>(elements, data, &features_);
    case DType::kInt16:
      return add_elements<int16_t>(elements, data, &features_);
    case DType::kInt32:
      return add_elements<int32_t>(elements, data, &features_);
    case DType::kInt64:
      return add_elements<int64_t>(elements, data, &features_);
    default:
      return;  // TableSketch asks for no other type
  }
}

void CategoryColumns::add_texts(ByteSpan data) {
  const std::byte* at = data.data();
  const std::byte* const end = at + data.size();
  for (size_t i = 0; at != end; i = i + 1 == features_.size() ? 0 : i + 1) {
    uint32_t size;
    std::memcpy(&size, at, sizeof(size));
    at += sizeof(size);
    features_[i].add_text({reinterpret_cast<const char*>(at), size});
    at += size;
  }
}

void CategoryColumns::merge(const CategoryColumns& other) {
  for (size_t i = 0; i < features_.size(); ++i) features_[i].merge(other.features_[i]);
}

size_t CategoryColumns::heap_bytes() const {
  size_t bytes = features_.capacity() * sizeof(CategorySketch);
  for (const CategorySketch& feature : features_) bytes += feature.heap_bytes();
  return bytes;
}

int64_t count_texts(ByteSpan data) {
  int64_t count = 0;
  for (size_t at = 0; at != data.size(); ++count) {
    uint32_t size;
    if (data.size() - at < sizeof(size)) return -1;
    std::memcpy(&size, data.data() + at, sizeof(size));
    at += sizeof(size);
    if (data.size() - at < size) return -1;
    at += size;
  }
  return count;
}

}  // namespace fastserve::sketch
