// A named InferParameter, of a request, a tensor or a response.
#pragma once

#include <cstdint>
#include <string_view>

namespace fastserve::wire {

struct Parameter {
  enum class Kind : uint8_t { kNone, kBool, kInt64, kString, kDouble, kUint64 };
  std::string_view key;
  Kind kind = Kind::kNone;
  union {
    bool as_bool;
    int64_t as_int64;
    uint64_t as_uint64 = 0;
    double as_double;
  };
  std::string_view as_string;
};

// A run of Parameter in InferRequestView::parameters_pool.
struct ParameterRange {
  uint32_t begin = 0;
  uint32_t count = 0;
};

}  // namespace fastserve::wire
