// The library's counted buffers as text.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string_view>

namespace fastserve::http2 {

inline std::string_view text_of(nghttp2_rcbuf* buffer) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

}  // namespace fastserve::http2
