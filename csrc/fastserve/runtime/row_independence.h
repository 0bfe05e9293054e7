// Is it safe to batch this model? A probe with real runs, since the graph's symbols only say that
// the first axis may vary, not that rows ignore one another (a softmax over axis 0, a BatchNorm in
// training mode, a top-k over the batch all keep the shape and mix the rows).
#pragma once

#include <cstdint>
#include <string>

#include "fastserve/runtime/session.h"

namespace fastserve::runtime {

struct BatchingVerdict {
  bool is_safe = false;
  std::string reason;  // for people: "first axis of input 'x' is fixed at 8", "rows are independent
                       // (max difference 3e-7)"
};

// Thread: loader. Runs the session a few times (seeded random rows of unlike magnitude: 3 rows
// together, permuted, then each alone) and compares within 1e-4 relative or 1e-5 absolute for FP32
// and FP64, within 4e-3 and 4e-3 for FP16, 3e-2 and 3e-2 for BF16 (some units in their last place),
// exactly otherwise. Non-leading dynamic axes are tried at 8, 16, 32, 2 and 1, all alike; integers
// are drawn below 16, and below 2 where that fails (small vocabularies). Runs that fail at every
// size give is_safe = false with the reason.
BatchingVerdict probe_row_independence(Session& session, uint64_t seed);

}  // namespace fastserve::runtime
