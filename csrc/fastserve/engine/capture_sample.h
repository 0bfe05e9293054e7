// Which requests belong to the captured share: a pure function of the request.
//
// A request with an id is chosen by a hash of the id alone. So the same request is captured by
// every model and version that it reaches (a shadow beside its original, a retry beside its first
// try), whichever process it meets, and whoever gets a label later can tell from the id whether
// there is a row to join it to. A larger share keeps all that a smaller one had.
//
// A request without an id is chosen by a counter that runs through the same hash with the server's
// seed: a share of 0.1 takes 1 in 10 on average, without the regular step that would always hit
// the same client of ten.
#pragma once

#include <cstdint>
#include <string_view>

namespace fastserve::engine {

// `place`, of evenly spread bits, lies in the first `share` of all places. 53 bits of it count, all
// that a double has: in [0, 1), and exact.
inline bool is_within(uint64_t place, double share) {
  return static_cast<double>(place >> 11) * 0x1.0p-53 < share;
}

// `share` is clamped to 0..1; NaN takes nothing. `counter` is the caller's own, one more for each
// request of the model; `seed` and `counter` count only when `id` is empty. Thread: any.
bool is_captured(double share, std::string_view id, uint64_t seed, uint64_t counter);

}  // namespace fastserve::engine
