#include "fastserve/front/trace_context.h"

#include <cmath>

namespace fastserve::front {
namespace {

// version "-" trace-id "-" parent-id "-" trace-flags
constexpr size_t kTraceIdAt = 3;
constexpr size_t kParentIdAt = 36;
constexpr size_t kFlagsAt = 53;
constexpr size_t kLength = 55;
constexpr uint64_t kInvalidVersion = 0xff;
constexpr uint64_t kSampledFlag = 1;

// Lower-case digits alone, as the standard has them.
bool read_hex(std::string_view digits, uint64_t* value) {
  *value = 0;
  for (const char digit : digits) {
    unsigned nibble = 0;
    if (digit >= '0' && digit <= '9') {
      nibble = static_cast<unsigned>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      nibble = static_cast<unsigned>(digit - 'a') + 10;
    } else {
      return false;
    }
    *value = *value << 4 | nibble;
  }
  return true;
}

}  // namespace

bool parse_traceparent(std::string_view text, TraceContext* context) {
  if (text.size() < kLength) return false;
  if (text[kTraceIdAt - 1] != '-' || text[kParentIdAt - 1] != '-' || text[kFlagsAt - 1] != '-') {
    return false;
  }
  uint64_t version = 0;
  TraceId trace_id;
  uint64_t parent_id = 0;
  uint64_t flags = 0;
  if (!read_hex(text.substr(0, 2), &version) || version == kInvalidVersion) return false;
  if (text.size() > kLength && (version == 0 || text[kLength] != '-')) return false;
  if (!read_hex(text.substr(kTraceIdAt, 16), &trace_id.high) ||
      !read_hex(text.substr(kTraceIdAt + 16, 16), &trace_id.low) ||
      !read_hex(text.substr(kParentIdAt, 16), &parent_id) ||
      !read_hex(text.substr(kFlagsAt, 2), &flags)) {
    return false;
  }
  if (!trace_id.is_valid() || parent_id == 0) return false;
  context->trace_id = trace_id;
  context->parent_id = parent_id;
  context->is_sampled = (flags & kSampledFlag) != 0;
  return true;
}

uint64_t sample_bound(double share) {
  if (!(share > 0)) return 0;
  if (share >= 1) return kTakesAll;
  return static_cast<uint64_t>(std::ldexp(share, 64));
}

}  // namespace fastserve::front
