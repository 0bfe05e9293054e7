#include "fastserve/http2/field_check.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>

#include "fastserve/http2/rcbuf.h"

namespace fastserve::http2 {
namespace {

const uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool equals_without_case(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
  });
}

FieldKind method_kind(std::string_view value) {
  if (!nghttp2_check_method(bytes_of(value), value.size())) return FieldKind::kBad;
  if (value == "CONNECT") return FieldKind::kMethodConnect;
  return value == "OPTIONS" ? FieldKind::kMethodOptions : FieldKind::kMethod;
}

// RFC 3986, 3.1.
FieldKind scheme_kind(std::string_view value) {
  const bool is_scheme =
      is_letter(value.front()) && std::ranges::all_of(value, [](char c) {
        return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
      });
  if (!is_scheme) return FieldKind::kBad;
  const bool is_http = equals_without_case(value, "http") || equals_without_case(value, "https");
  return is_http ? FieldKind::kSchemeHttp : FieldKind::kSchemeOther;
}

FieldKind path_kind(std::string_view value) {
  if (!nghttp2_check_path(bytes_of(value), value.size())) return FieldKind::kBad;
  if (value.front() == '/') return FieldKind::kPath;
  return value == "*" ? FieldKind::kPathAsterisk : FieldKind::kPathOther;
}

FieldKind authority_kind(FieldKind kind, std::string_view value) {
  const bool is_authority = nghttp2_check_authority(bytes_of(value), value.size());
  return is_authority ? kind : FieldKind::kBad;
}

FieldKind pseudo_kind(std::string_view name, std::string_view value) {
  if (value.empty()) return FieldKind::kBad;
  if (name == ":method") return method_kind(value);
  if (name == ":scheme") return scheme_kind(value);
  if (name == ":path") return path_kind(value);
  if (name == ":authority") return authority_kind(FieldKind::kAuthority, value);
  return FieldKind::kBad;
}

// Of one hop, which HTTP/2 has no use for.
bool is_hop_field(std::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" ||
         name == "transfer-encoding" || name == "upgrade";
}

}  // namespace

FieldKind FieldCheck::inspect(std::string_view name, std::string_view value) {
  if (name.starts_with(':')) return pseudo_kind(name, value);
  if (!nghttp2_check_header_name(bytes_of(name), name.size())) return FieldKind::kBad;
  if (name == "host") {
    return value.empty() ? FieldKind::kBad : authority_kind(FieldKind::kHost, value);
  }
  if (!nghttp2_check_header_value(bytes_of(value), value.size())) return FieldKind::kBad;
  if (is_hop_field(name)) return FieldKind::kBad;
  if (name == "te" && !equals_without_case(value, "trailers")) return FieldKind::kBad;
  return name == "content-length" ? FieldKind::kContentLength : FieldKind::kOther;
}

FieldKind FieldCheck::look(size_t place, nghttp2_rcbuf* name, nghttp2_rcbuf* value,
                           std::string_view name_text, std::string_view value_text) {
  if (place >= kPlaces || name_text.size() + value_text.size() > kMaxKeptBytes) {
    return inspect(name_text, value_text);
  }
  Known& known = known_[place];
  // Clients that do not put a path into the table spell it out each time.
  if (known.name != nullptr && text_of(known.name) == name_text &&
      text_of(known.value) == value_text) {
    return known.kind;
  }
  const FieldKind kind = inspect(name_text, value_text);
  nghttp2_rcbuf_incref(name);
  nghttp2_rcbuf_incref(value);
  if (known.name != nullptr) {
    nghttp2_rcbuf_decref(known.name);
    nghttp2_rcbuf_decref(known.value);
  }
  known = {name, value, kind};
  return kind;
}

void FieldCheck::clear() {
  for (Known& known : known_) {
    if (known.name == nullptr) continue;
    nghttp2_rcbuf_decref(known.name);
    nghttp2_rcbuf_decref(known.value);
    known = {};
  }
}

}  // namespace fastserve::http2
