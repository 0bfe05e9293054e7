// Element types that the Open Inference Protocol can name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fastserve {

enum class DType : uint8_t {
  kInvalid = 0,
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFp16,
  kBf16,
  kFp32,
  kFp64,
  kBytes,
};

constexpr bool is_floating(DType dtype) {
  return dtype == DType::kFp16 || dtype == DType::kBf16 || dtype == DType::kFp32 ||
         dtype == DType::kFp64;
}
// Bytes of one element; 0 for kBytes (each element has its own length) and kInvalid.
size_t dtype_size(DType dtype);
// The name on the wire: "BOOL", "UINT8", ... "BYTES"; "INVALID" for kInvalid.
std::string_view dtype_name(DType dtype);
// kInvalid when the protocol has no such name. Case matters, as in Triton.
DType dtype_from_name(std::string_view name);

}  // namespace fastserve
