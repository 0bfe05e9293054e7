#include "fastserve/tensor/dtype.h"

#include <array>

namespace fastserve {
namespace {

struct Entry {
  std::string_view name;
  size_t size;
};

// Indexed by DType.
constexpr std::array<Entry, 15> kEntries = {{
    {"INVALID", 0},
    {"BOOL", 1},
    {"UINT8", 1},
    {"UINT16", 2},
    {"UINT32", 4},
    {"UINT64", 8},
    {"INT8", 1},
    {"INT16", 2},
    {"INT32", 4},
    {"INT64", 8},
    {"FP16", 2},
    {"BF16", 2},
    {"FP32", 4},
    {"FP64", 8},
    {"BYTES", 0},
}};
static_assert(kEntries.size() == static_cast<size_t>(DType::kBytes) + 1);

const Entry& entry(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  return kEntries[index < kEntries.size() ? index : 0];
}

}  // namespace

size_t dtype_size(DType dtype) { return entry(dtype).size; }

std::string_view dtype_name(DType dtype) { return entry(dtype).name; }

DType dtype_from_name(std::string_view name) {
  // The commonest in traffic first; the rest are found by a short scan.
  if (name == "FP32") return DType::kFp32;
  for (size_t i = 1; i < kEntries.size(); ++i) {
    if (kEntries[i].name == name) return static_cast<DType>(i);
  }
  return DType::kInvalid;
}

}  // namespace fastserve
