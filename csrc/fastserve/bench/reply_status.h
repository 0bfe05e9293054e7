// The gRPC status that a client makes of an answer, also of one that is none.
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md ("Errors") and
// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
#pragma once

#include "fastserve/base/status.h"
#include "fastserve/http2/client_session.h"

namespace fastserve::bench {

inline Code reply_status(const http2::Reply& reply) {
  if (reply.error_code != http2::Reply::kNoError) {
    switch (reply.error_code) {
      case 0x7:  // REFUSED_STREAM
        return Code::kUnavailable;
      case 0x8:  // CANCEL
        return Code::kCancelled;
      case 0xb:  // ENHANCE_YOUR_CALM
        return Code::kResourceExhausted;
      case 0xc:  // INADEQUATE_SECURITY
        return Code::kPermissionDenied;
      default:
        return Code::kInternal;
    }
  }
  if (reply.grpc_status >= 0 && reply.grpc_status <= 16)
    return static_cast<Code>(reply.grpc_status);
  switch (reply.http_status) {
    case 400:
      return Code::kInternal;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code::kUnavailable;
    default:
      return Code::kUnknown;
  }
}

}  // namespace fastserve::bench
