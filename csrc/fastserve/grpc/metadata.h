// User metadata: which headers are the application's, and their encoding.
#pragma once

#include <array>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/grpc/call.h"
#include "fastserve/http2/stream.h"

namespace fastserve::grpc {

// Pseudo-headers, te, content-type and everything that gRPC names for itself ("grpc-...").
bool is_reserved_header(std::string_view name);
// Keys that hold bytes: base64 on the wire, plain in Metadatum.
inline bool is_binary_key(std::string_view key) { return key.ends_with("-bin"); }

// kInternal, naming the key, when a "-bin" value is not base64. The hot path has none of those.
Status check_binary_header(const http2::Header& header);

// Request metadata decoded; storage is reused. A "-bin" value with commas becomes several entries.
class MetadataDecoder {
 public:
  // Views are valid until the next decode() and while the headers are.
  std::span<const Metadatum> decode(std::span<const http2::Header> headers);

 private:
  std::vector<Metadatum> metadata_;
  std::vector<std::string> decoded_;
};

// Fields of an answer, collected until the connection has copied them. As long as they are few and
// none is binary, no memory is asked for.
class OutFields {
 public:
  void add(const http2::OutHeader& field) {
    if (size_ < few_.size()) {
      few_[size_++] = field;
      return;
    }
    if (size_ == few_.size()) many_.assign(few_.begin(), few_.end());
    many_.push_back(field);
    ++size_;
  }
  void add(std::span<const http2::OutHeader> fields) {
    for (const http2::OutHeader& field : fields) add(field);
  }
  // In wire form. Pairs that HTTP/2 or gRPC does not allow an application to send (reserved or
  // malformed key, control characters in a text value) are left out: they could forge the answer.
  void add(std::span<const Metadatum> metadata);

  std::span<const http2::OutHeader> fields() const {
    if (size_ > few_.size()) return many_;
    return {few_.data(), size_};
  }

 private:
  size_t size_ = 0;
  std::array<http2::OutHeader, 8> few_;
  std::vector<http2::OutHeader> many_;  // all of them, once they are more
  std::list<std::string> encoded_;      // of binary keys
};

}  // namespace fastserve::grpc
