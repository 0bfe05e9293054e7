// What is served now: an immutable snapshot that the control plane publishes whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/engine/version.h"

namespace fastserve::engine {

// A version that exists and cannot answer, with the words that its callers get.
struct UnavailableVersion {
  int64_t number = 0;
  std::string reason;  // "loading", "failed", "unloaded"
};

struct ModelEntry {
  std::string name;
  std::vector<VersionHandle> ready;  // ascending by number
  std::vector<UnavailableVersion> unavailable;
};

class ModelSet {
 public:
  void add(ModelEntry entry);

  // The version that answers for `model` and `version_text` ("" = the highest ready one). Errors
  // are Triton's: kNotFound (unknown model or version, no ready version), kUnavailable (the version
  // is known and not ready), kInvalidArgument (version_text is not a positive integer). Thread:
  // any; constant in the number of models.
  Result<Version*> find(std::string_view model, std::string_view version_text) const;
  const std::vector<std::unique_ptr<ModelEntry>>& models() const { return entries_; }

 private:
  std::vector<std::unique_ptr<ModelEntry>> entries_;
  std::unordered_map<std::string_view, const ModelEntry*> by_name_;
};

}  // namespace fastserve::engine
