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

// `share` is clamped to 0..1; NaN takes nothing. `counter` is the caller's own, one more for each
// request of the model; `seed` and `counter` count only when `id` is empty. Thread: any.
bool is_captured(double share, std::string_view id, uint64_t seed, uint64_t counter);

}  // namespace fastserve::engine
