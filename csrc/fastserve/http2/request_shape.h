// Whether what came of a request is one: its pseudo-headers, the length that it declares (RFC 9113,
// 8.1.1 and 8.3). libnghttp2 can look after this too, field by field and letter by letter for every
// request; field_check.h says why it does not here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace fastserve::http2 {

enum class FieldKind : uint8_t {
  kBad,  // may not be in a request
  kMethod,
  kMethodConnect,
  kMethodOptions,
  kSchemeHttp,  // or https
  kSchemeOther,
  kPath,  // begins with '/'
  kPathAsterisk,
  kPathOther,
  kAuthority,
  kHost,
  kContentLength,
  kOther,
};

class RequestShape {
 public:
  // Takes the next field, of the headers or of the trailers. False: it makes the request malformed.
  bool take(FieldKind kind, std::string_view value) {
    const Rule rule = kRules[static_cast<size_t>(kind)];
    if (seen_ & rule.excludes) return false;
    seen_ = static_cast<uint16_t>(seen_ | rule.adds);
    return kind != FieldKind::kContentLength || declare(value);
  }
  // The header block is over: has it what a request must have? What follows are trailers.
  bool end_headers();
  // False: more than was declared.
  bool add_body(size_t bytes) {
    body_bytes_ += bytes;
    return body_bytes_ <= declared_bytes_;
  }
  // The peer sends no more: is it as much as was declared?
  bool is_whole() const {
    return declared_bytes_ == kNotDeclared || declared_bytes_ == body_bytes_;
  }

 private:
  // Larger than any body.
  static constexpr uint64_t kNotDeclared = std::numeric_limits<uint64_t>::max();
  enum Seen : uint16_t {
    kBegun = 1,
    kMethod = 2,
    kScheme = 4,
    kPath = 8,
    kAuthority = 16,
    kHost = 32,
    kLength = 64,
    kRegular = 128,  // after it there is no pseudo-header
    kConnect = 256,
    kOptions = 512,
    kHttp = 1024,
    kAsterisk = 2048,
    kOddPath = 4096,  // neither absolute nor the asterisk
  };
  struct Rule {
    uint16_t excludes;
    uint16_t adds;
  };
  // By kind, in the order of the enumeration.
  static constexpr std::array<Rule, 13> kRules = {{
      {kBegun, 0},
      {kMethod | kRegular, kMethod},
      {kMethod | kRegular, kMethod | kConnect},
      {kMethod | kRegular, kMethod | kOptions},
      {kScheme | kRegular, kScheme | kHttp},
      {kScheme | kRegular, kScheme},
      {kPath | kRegular, kPath},
      {kPath | kRegular, kPath | kAsterisk},
      {kPath | kRegular, kPath | kOddPath},
      {kAuthority | kRegular, kAuthority},
      {kHost, kHost | kRegular},
      {kLength, kLength | kRegular},
      {0, kRegular},
  }};

  bool declare(std::string_view value);

  uint16_t seen_ = kBegun;
  uint64_t declared_bytes_ = kNotDeclared;
  uint64_t body_bytes_ = 0;
};

}  // namespace fastserve::http2
