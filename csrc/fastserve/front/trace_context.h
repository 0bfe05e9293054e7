// Which trace a call belongs to, as its caller says in the metadata `traceparent`.
// Source: W3C Trace Context, https://www.w3.org/TR/trace-context/ (section 3.2).
#pragma once

#include <cstdint>
#include <string_view>

namespace fastserve::front {

// A 128-bit number; zero is no trace.
struct TraceId {
  uint64_t high = 0;
  uint64_t low = 0;
  bool is_valid() const { return (high | low) != 0; }
  bool operator==(const TraceId&) const = default;
};

struct TraceContext {
  TraceId trace_id;        // zero: the caller names no trace, or not as the standard wants it
  uint64_t parent_id = 0;  // the caller's span
  bool is_sampled = false;
  // The header `tracestate` as it came, unread; a view of the call's metadata.
  std::string_view state;
};

// False leaves *context alone: what came is not a traceparent, and the standard then wants a trace
// begun anew. Of versions that are not known yet the part that version 00 has is read, as the
// standard says.
bool parse_traceparent(std::string_view text, TraceContext* context);

// Which traces a sampler takes that has to agree with others about the same trace: the low half of
// the id is below this bound. 0 takes none, kTakesAll every one.
// Source: OpenTelemetry's TraceIdRatioBased, as its Python and Java SDKs have it.
inline constexpr uint64_t kTakesAll = UINT64_MAX;
uint64_t sample_bound(double share);
inline bool is_below(uint64_t low, uint64_t bound) { return bound == kTakesAll || low < bound; }

}  // namespace fastserve::front
