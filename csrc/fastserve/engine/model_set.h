// What is served now: an immutable snapshot. The control plane publishes a new one for each change;
// entries of models that did not change are shared between them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/engine/version.h"
#include "fastserve/route/route_table.h"

namespace fastserve::engine {

// A version that exists and cannot answer, with the words that its callers get.
struct UnavailableVersion {
  int64_t number = 0;
  std::string reason;  // "loading", "failed", "unloaded"
  // Is loaded when a request asks for it; the request waits.
  bool is_on_demand = false;
};

struct ModelEntry {
  std::string name;
  std::vector<VersionHandle> ready;  // ascending by number
  // Answers requests that name no version: the number of a ready version, or of one that is loaded
  // on demand; 0: there is none.
  int64_t serving = 0;
  // Names that requests may give instead of a number.
  std::vector<std::pair<std::string, int64_t>> labels;
  std::vector<UnavailableVersion> unavailable;
  // Shares requests that name no version among versions; null: `serving` answers them all.
  std::shared_ptr<const route::RouteTable> route;
};

// A version that answers, and why a route chose it.
struct FoundVersion {
  Version* version = nullptr;  // null: it is loaded on demand and not ready now
  // Set where a route chose; good for as long as the ModelSet.
  const route::RouteTable* route = nullptr;
  route::Reason reason = route::Reason::kWeight;
};

class ModelSet {
 public:
  ModelSet() = default;
  ModelSet(const ModelSet&) = default;
  ModelSet& operator=(const ModelSet&) = delete;

  // Takes the place of the model's entry, if it has one.
  void put(ModelEntry entry);
  void remove(std::string_view model);

  // The version that answers for `model` and `version_text`: a number, a label, or "" for the one
  // that the model's route chooses, or that serves. Errors are Triton's: kNotFound (unknown model
  // or version, no ready version), kUnavailable (the version is known and not ready),
  // kInvalidArgument (version_text is neither a positive integer nor a label). Thread: the
  // writer's; constant in the number of models.
  Result<FoundVersion> find(std::string_view model, std::string_view version_text,
                            const route::RequestView& request, size_t writer) const;
  // Null when there is no such model.
  const ModelEntry* entry(std::string_view model) const;
  size_t size() const { return entries_.size(); }

 private:
  // Keys are the names inside the entries.
  std::unordered_map<std::string_view, std::shared_ptr<const ModelEntry>> entries_;
};

}  // namespace fastserve::engine
