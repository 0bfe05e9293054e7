#include "fastserve/engine/queue_policy.h"

#include <string>

namespace fastserve::engine {
namespace {

// Each level costs every lane a pointer, and every insertion a step.
constexpr uint32_t kMaxLevels = 1000;

}  // namespace

Result<QueueRules> QueueRules::make(uint32_t levels, uint32_t default_priority,
                                    std::span<const QueuePolicy> policies) {
  if (levels > kMaxLevels) {
    return invalid_argument("priority_levels is " + std::to_string(levels) + ", expected at most " +
                            std::to_string(kMaxLevels));
  }
  if (levels > 0 && (default_priority == 0 || default_priority > levels)) {
    return invalid_argument("default_priority is " + std::to_string(default_priority) +
                            ", expected one of the levels 1 to " + std::to_string(levels));
  }
  if (policies.size() > size_t{1} + levels) {
    return invalid_argument("there are queue policies for " + std::to_string(policies.size() - 1) +
                            " levels, but priority_levels is " + std::to_string(levels));
  }
  QueueRules rules;
  rules.has_any_ = levels > 0;
  rules.default_level_ = levels > 0 ? default_priority - 1 : 0;
  if (!policies.empty()) rules.policies_.front() = policies.front();
  if (levels > 0) rules.policies_.resize(levels, rules.policies_.front());
  for (size_t level = 0; level + 1 < policies.size(); ++level) {
    rules.policies_[level] = policies[level + 1];
  }
  for (const QueuePolicy& policy : rules.policies_) {
    if (policy.timeout < 0) {
      return invalid_argument("the timeout of a queue policy is " +
                              std::to_string(policy.timeout / kMicrosecond) +
                              " us, expected 0 (none) or more");
    }
    rules.has_any_ = rules.has_any_ || policy.timeout > 0 || policy.max_requests > 0;
  }
  return rules;
}

}  // namespace fastserve::engine
