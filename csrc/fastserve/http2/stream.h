// One request and its answer, as the connection keeps them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/clock.h"
#include "fastserve/http2/body_queue.h"
#include "fastserve/http2/request_shape.h"

struct nghttp2_rcbuf;

namespace fastserve::http2 {

struct Header {
  std::string_view name;  // lower case
  std::string_view value;
  // Of those that a peer sent: the memory behind the views.
  nghttp2_rcbuf* name_buffer = nullptr;
  nghttp2_rcbuf* value_buffer = nullptr;
};

// A header to send. Static ones point at memory that lives as long as the program; others are
// copied.
struct OutHeader {
  std::string_view name;
  std::string_view value;
  bool is_static = false;
};

// Made and pooled by the connection. Its memory lives until the HTTP/2 library forgets the stream,
// which can be after on_closed: a handler must not touch it after that event.
class Stream {
 public:
  int32_t id() const { return id_; }
  std::span<const Header> headers() const { return headers_; }
  // Body bytes queued by send() that no frame carries yet.
  size_t queued_bytes() const { return body_.size(); }
  // Body bytes framed so far.
  uint64_t sent_bytes() const { return sent_bytes_; }
  // Body bytes received and not consumed.
  size_t unread_bytes() const { return unread_bytes_; }
  // When the header block was complete.
  Nanos opened_at() const { return opened_at_; }
  // The peer sent END_STREAM.
  bool is_half_closed() const { return peer_ended_; }

  // How long the peer said that it would wait (grpc-timeout). A reset after most of that time is
  // what any honest client does, and costs it next to nothing.
  Nanos patience_ns = kNever;
  // For the handler; the connection does not touch it.
  void* user = nullptr;

 private:
  friend class Connection;
  friend struct ConnectionCallbacks;

  void release_headers();
  // After release_headers(): back to the state of a new object, with the capacity of small
  // containers kept.
  void recycle() {
    patience_ns = kNever;
    user = nullptr;
    is_open_ = peer_ended_ = answering_ = finishing_ = answered_ = false;
    deferred_ = over_high_water_ = reset_by_us_ = false;
    header_bytes_ = header_count_ = 0;
    unread_bytes_ = credit_bytes_ = 0;
    sent_bytes_ = 0;
    shape_ = {};
    body_.clear();
    trailers_.clear();
  }

  int32_t id_ = 0;
  bool is_open_ = false;  // on_request was delivered and on_closed was not
  bool peer_ended_ = false;
  bool answering_ = false;  // response headers were submitted
  bool finishing_ = false;  // finish() was called: trailers follow the queued body
  bool answered_ = false;   // END_STREAM of the answer was framed
  bool deferred_ = false;   // the library waits for resume_data
  bool over_high_water_ = false;
  bool reset_by_us_ = false;
  Nanos opened_at_ = 0;
  uint32_t header_bytes_ = 0;
  uint32_t header_count_ = 0;
  uint64_t sent_bytes_ = 0;
  size_t unread_bytes_ = 0;
  size_t credit_bytes_ = 0;  // consumed and not yet told to the library
  RequestShape shape_;
  std::vector<Header> headers_;
  BodyQueue body_;
  std::vector<Header> trailers_;  // static, or views into trailer_text_
  // Bytes of fields to send that are not static. Views of the library point into them until the
  // frame is packed, so each is written once, after reserving.
  Buffer response_text_;
  Buffer trailer_text_;
};

}  // namespace fastserve::http2
