// What each field of a request is, and whether it may be there (RFC 9113, 8.2).
//
// libnghttp2 reads every letter of every field of every request again, 2,200 of the 12,500
// instructions that a small call costs there. But a connection's requests look alike: a field at
// one place of a header block is mostly the very entry of the HPACK table that was there in the
// request before. So its own check is switched off, and what it would say of a field is kept by
// place; another field is read with the library's functions, as before.
//
// Thread: the connection's.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "fastserve/http2/request_shape.h"

struct nghttp2_rcbuf;

namespace fastserve::http2 {

class FieldCheck {
 public:
  FieldCheck() = default;
  ~FieldCheck() { clear(); }
  FieldCheck(const FieldCheck&) = delete;
  FieldCheck& operator=(const FieldCheck&) = delete;

  // `place`: how many fields of the block came before. The texts are those of the buffers.
  FieldKind kind_of(size_t place, nghttp2_rcbuf* name, nghttp2_rcbuf* value,
                    std::string_view name_text, std::string_view value_text) {
    if (place < kPlaces) {
      const Known& known = known_[place];
      if (known.name == name && known.value == value) return known.kind;
    }
    return look(place, name, value, name_text, value_text);
  }
  // Lets go of the buffers; before the session whose memory they are in is deleted.
  void clear();

  // What a field is, whatever came before.
  static FieldKind inspect(std::string_view name, std::string_view value);

 private:
  static constexpr size_t kPlaces = 16;
  // Longer ones are not kept: the table that they came from has its own bound.
  static constexpr size_t kMaxKeptBytes = 256;

  struct Known {
    nghttp2_rcbuf* name = nullptr;
    nghttp2_rcbuf* value = nullptr;
    FieldKind kind = FieldKind::kBad;
  };

  FieldKind look(size_t place, nghttp2_rcbuf* name, nghttp2_rcbuf* value,
                 std::string_view name_text, std::string_view value_text);

  std::array<Known, kPlaces> known_;
};

}  // namespace fastserve::http2
