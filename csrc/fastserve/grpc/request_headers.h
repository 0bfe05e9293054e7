// The request headers that gRPC gives a meaning to, found in one pass and checked.
#pragma once

#include <span>
#include <string_view>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/grpc/compression.h"
#include "fastserve/http2/stream.h"

namespace fastserve::grpc {

struct RequestHeaders {
  std::string_view path;
  Nanos timeout = kNever;
  Encoding encoding = Encoding::kIdentity;
  bool names_encoding = false;  // grpc-encoding is there, whatever it says
  bool accepts_gzip = false;
  // Not gRPC at all: the answer is HTTP status 415, not a gRPC status.
  bool is_grpc = false;
};

// First value of each header wins. Errors, as gRPC's own servers answer them: kUnknown for a method
// other than POST and for a missing "te: trailers"; kUnimplemented for a path that is not
// /service/method and for an unknown grpc-encoding; kInternal for a malformed grpc-timeout or -bin
// value. When !headers->is_grpc the status says nothing.
Status read_request_headers(std::span<const http2::Header> fields, RequestHeaders* headers);

}  // namespace fastserve::grpc
