// What a route looks at of a request: its call's headers and its own parameters.
#pragma once

#include <array>
#include <charconv>
#include <string_view>

#include "fastserve/front/infer_call.h"
#include "fastserve/front/stream_call.h"
#include "fastserve/grpc/call.h"
#include "fastserve/route/route_table.h"
#include "fastserve/wire/infer_request.h"

namespace fastserve::front {

// Views of both; for one decoding.
class RouteRequest final : public route::RequestView {
 public:
  RouteRequest(const InferCall& infer, const wire::InferRequestView& view)
      : infer_(infer), view_(view) {}

  std::string_view header(std::string_view name) const override {
    const grpc::Call* call = infer_.stream != nullptr ? infer_.stream->call() : infer_.call;
    if (call != nullptr) return call->header(name);
    for (const auto& [key, value] : infer_.headers) {
      if (key == name) return value;
    }
    return {};
  }

  // A number in decimal; other types have no text that would be one for every client.
  std::string_view parameter(std::string_view name) const override {
    for (uint32_t i = 0; i < view_.parameters.count; ++i) {
      const wire::Parameter& parameter = view_.parameters_pool[view_.parameters.begin + i];
      if (parameter.key != name) continue;
      switch (parameter.kind) {
        case wire::Parameter::Kind::kString:
          return parameter.as_string;
        case wire::Parameter::Kind::kInt64:
          return decimal(parameter.as_int64);
        case wire::Parameter::Kind::kUint64:
          return decimal(parameter.as_uint64);
        default:
          return {};
      }
    }
    return {};
  }

 private:
  template <typename Number>
  std::string_view decimal(Number number) const {
    const auto end = std::to_chars(digits_.data(), digits_.data() + digits_.size(), number);
    return {digits_.data(), static_cast<size_t>(end.ptr - digits_.data())};
  }

  const InferCall& infer_;
  const wire::InferRequestView& view_;
  mutable std::array<char, 24> digits_;
};

}  // namespace fastserve::front
