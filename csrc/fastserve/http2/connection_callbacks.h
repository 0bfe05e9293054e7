// The events of the HTTP/2 library, as Connection takes them. Apart from connection.cc for length
// only; nothing else uses it.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>

#include "fastserve/http2/connection.h"

namespace fastserve::http2 {

struct ConnectionCallbacks {
  // The table to make sessions with; the caller keeps it.
  static nghttp2_session_callbacks* make();
  // The data provider of every answer; source->ptr is the Stream.
  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* data_flags,
                           nghttp2_data_source* source, void* user);

 private:
  static Connection& self(void* user);
  static Stream* find(Connection& connection, int32_t id);
  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user);
  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                       nghttp2_rcbuf* value, uint8_t, void* user);
  static int refuse_headers(Connection& connection, Stream& stream, uint32_t error_code);
  static void refuse(Connection& connection, Stream& stream, uint32_t error_code);
  static void on_headers(Connection& connection, Stream& stream, const nghttp2_frame& frame);
  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int64_t price_of_reset(Connection& connection, const Stream* stream);
  static int on_data_chunk(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* data,
                           size_t size, void* user);
  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user);
  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t error_code, void* user);
  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_header, size_t length,
                       nghttp2_data_source* source, void* user);
  static int on_frame_not_send(nghttp2_session*, const nghttp2_frame* frame, int error, void* user);
  static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user);
};

}  // namespace fastserve::http2
