// Time on the monotonic clock, in nanoseconds. Wall-clock time is for logs only.
#pragma once

#include <cstdint>
#include <ctime>

namespace fastserve {

using Nanos = int64_t;

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;
// "No deadline": later than any time the clock will show.
inline constexpr Nanos kNever = INT64_MAX;

// CLOCK_MONOTONIC. Code that decides by time takes `now` as an argument and never calls this; only
// the edges (io loop, executor loop) read the clock.
inline Nanos monotonic_now() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<Nanos>(ts.tv_sec) * kSecond + ts.tv_nsec;
}

}  // namespace fastserve
