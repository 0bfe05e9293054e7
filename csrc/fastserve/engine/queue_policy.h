// Who of a version's waiting requests goes first, and how long and how many may wait: Triton's
// priority levels and queue policies. docs/batching.md states the rules for users.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"

namespace fastserve::engine {

struct QueuePolicy {
  // How long a request may wait; 0: as long as its deadline lets it.
  Nanos timeout = 0;
  // What waited longer goes behind everything else of its version; otherwise it is refused.
  bool is_delay = false;
  // The client's own timeout counts instead, where it is the shorter one.
  bool allow_timeout_override = false;
  // How many may wait at once; 0: any number within the bounds on rows and bytes.
  uint64_t max_requests = 0;
};

// The rules of one version. Levels count from 0 here, the most urgent; clients count from 1.
class QueueRules {
 public:
  QueueRules() = default;

  // `policies`: the default one, then one for each level; levels beyond the list have the default.
  // Errors: kInvalidArgument, naming the value, what was got and what was expected.
  static Result<QueueRules> make(uint32_t levels, uint32_t default_priority,
                                 std::span<const QueuePolicy> policies);

  // False: all requests are alike, and nothing but bounds and deadlines of their own holds them.
  bool any() const { return has_any_; }
  // At least 1.
  uint32_t levels() const { return static_cast<uint32_t>(policies_.size()); }
  // Of a lane: the levels, and behind them what was delayed.
  uint32_t ranks() const { return has_any_ ? levels() + 1 : 1; }
  uint32_t delayed_rank() const { return levels(); }
  // `asked` as clients count; 0 and what is beyond the levels mean the default.
  uint32_t level_of(uint32_t asked) const {
    return asked == 0 || asked > levels() ? default_level_ : asked - 1;
  }
  const QueuePolicy& policy(uint32_t level) const { return policies_[level]; }

 private:
  bool has_any_ = false;
  uint32_t default_level_ = 0;
  std::vector<QueuePolicy> policies_{1};  // by level
};

}  // namespace fastserve::engine
