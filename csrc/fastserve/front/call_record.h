// What is kept of one call for its span and its line in the access log. Its size is fixed: texts
// that clients choose are cut.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/base/utf8.h"
#include "fastserve/engine/request.h"
#include "fastserve/front/trace_context.h"

namespace fastserve::front {

// Text of at most kSize bytes; a longer one is cut before the character that does not fit whole.
template <size_t kSize>
class BoundedText {
 public:
  void assign(std::string_view text) {
    is_cut_ = text.size() > kSize;
    size_ = static_cast<uint16_t>(cut_between_characters(text, kSize));
    // Not memcpy: an empty view may have no address.
    std::copy_n(text.data(), size_, bytes_.data());
  }
  void clear() {
    size_ = 0;
    is_cut_ = false;
  }
  std::string_view view() const { return {bytes_.data(), size_}; }
  bool is_cut() const { return is_cut_; }

 private:
  uint16_t size_ = 0;
  bool is_cut_ = false;
  std::array<char, kSize> bytes_{};
};

// kOther: a call that was refused before the control plane saw it; `path` names its method.
enum class CallMethod : uint8_t { kModelInfer, kModelStreamInfer, kOther };

// One inference: a ModelInfer call, or one message of a ModelStreamInfer call.
struct CallRecord {
  // Monotonic; 0 where the call never came so far.
  Nanos begun = 0;     // its headers, or its message of a stream, arrived
  Nanos received = 0;  // the request is whole
  engine::Timing timing;
  Nanos answered = 0;

  TraceId trace_id;        // zero: of no trace
  uint64_t parent_id = 0;  // zero: the trace begins here
  uint64_t span_id = 0;    // zero unless is_traced
  int64_t version = 0;     // zero: refused before one was found
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  uint32_t rows = 0;
  int32_t token = -1;  // which of the configured tokens the caller sent; -1: none is asked for
  Code code = Code::kOk;
  CallMethod method = CallMethod::kModelInfer;
  bool is_traced = false;
  bool is_logged = false;
  bool is_ended = false;  // code and answered are final

  BoundedText<96> path;   // of kOther alone
  BoundedText<64> model;  // as found, else as the request names it
  BoundedText<128> id;
  BoundedText<64> peer;
  // A longer one is dropped whole, which the standard allows.
  static constexpr size_t kMaxStateBytes = 256;
  BoundedText<kMaxStateBytes> state;

  CallRecord* next = nullptr;  // in one of the lists of its book
};

}  // namespace fastserve::front
