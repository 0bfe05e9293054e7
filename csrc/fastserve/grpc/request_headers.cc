#include "fastserve/grpc/request_headers.h"

#include <optional>
#include <string>

#include "fastserve/base/quoted.h"
#include "fastserve/grpc/metadata.h"
#include "fastserve/grpc/timeout.h"

namespace fastserve::grpc {
namespace {

// "application/grpc", alone or followed by "+proto", ";charset=..." and the like.
bool is_grpc_content_type(std::string_view type) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (!type.starts_with(kGrpc)) return false;
  return type.size() == kGrpc.size() || type[kGrpc.size()] == '+' || type[kGrpc.size()] == ';';
}

// The raw values; data() is null where the header is absent.
struct RawHeaders {
  std::string_view method, path, te, content_type, timeout, encoding, accept_encoding;
};

void keep_first(std::string_view value, std::string_view* kept) {
  if (kept->data() == nullptr) *kept = value;
}

// Sorts by length first: most headers are told apart without reading them.
Status collect(std::span<const http2::Header> fields, RawHeaders* raw) {
  Status bad_binary;
  for (const http2::Header& field : fields) {
    const std::string_view name = field.name;
    switch (name.size()) {
      case 2:
        if (name == "te") keep_first(field.value, &raw->te);
        continue;
      case 5:
        if (name == ":path") keep_first(field.value, &raw->path);
        break;
      case 7:
        if (name == ":method") keep_first(field.value, &raw->method);
        break;
      case 12:
        if (name == "content-type") keep_first(field.value, &raw->content_type);
        if (name == "grpc-timeout") keep_first(field.value, &raw->timeout);
        break;
      case 13:
        if (name == "grpc-encoding") keep_first(field.value, &raw->encoding);
        break;
      case 20:
        if (name == "grpc-accept-encoding") keep_first(field.value, &raw->accept_encoding);
        break;
      default:
        break;
    }
    if (is_binary_key(name) && bad_binary.ok()) bad_binary = check_binary_header(field);
  }
  return bad_binary;
}

}  // namespace

Status read_request_headers(std::span<const http2::Header> fields, RequestHeaders* headers) {
  RawHeaders raw;
  Status bad_binary = collect(fields, &raw);
  headers->is_grpc = is_grpc_content_type(raw.content_type);
  headers->path = raw.path;
  headers->encoding = parse_encoding(raw.encoding);
  headers->names_encoding = raw.encoding.data() != nullptr;
  headers->accepts_gzip = accepts_encoding(raw.accept_encoding, "gzip");
  if (!headers->is_grpc) return ok_status();
  if (raw.method != "POST") {
    return {Code::kUnknown, "HTTP method " + quoted(raw.method) + ", expected 'POST'"};
  }
  if (raw.te != "trailers") {
    return {Code::kUnknown, "header te is " + quoted(raw.te) + ", gRPC requires 'trailers'"};
  }
  // Any path is a method for the front to know or not: it asks for the token first.
  if (headers->encoding == Encoding::kUnknown) {
    return {Code::kUnimplemented,
            "grpc-encoding " + quoted(raw.encoding) +
                " is not supported, use one of: " + std::string(kAcceptedEncodings)};
  }
  if (raw.timeout.data() != nullptr) {
    const std::optional<Nanos> timeout = parse_timeout(raw.timeout);
    if (!timeout) {
      return {Code::kInternal, "malformed grpc-timeout " + quoted(raw.timeout) +
                                   ", expected 1 to 8 digits and one of H, M, S, m, u, n"};
    }
    headers->timeout = *timeout;
  }
  return bad_binary;
}

}  // namespace fastserve::grpc
