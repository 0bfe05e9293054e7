// Is it safe to batch this model? A probe with real runs, since the graph's symbols only say that the
// first axis may vary, not that rows ignore one another (a softmax over axis 0, a BatchNorm in training
// mode, a top-k over the batch all keep the shape and mix the rows).
#pragma once

#include <string>

#include "fastserve/runtime/session.h"

namespace fastserve::runtime {

struct BatchingVerdict {
  bool is_safe = false;
  std::string reason;  // for people: "first axis of input 'x' is fixed at 8", "rows are independent (max difference 3e-7)"
};

// Thread: loader. Runs the session a few times (seeded random rows: 3 rows together, then each alone,
// and permuted) and compares within 1e-4 relative or 1e-5 absolute for floats, exactly otherwise.
// Runs that fail, or non-leading dynamic axes that no size in {1, 2, 8, 16, 32} satisfies, give
// is_safe = false with the reason.
BatchingVerdict probe_row_independence(Session& session, uint64_t seed);

}  // namespace fastserve::runtime
