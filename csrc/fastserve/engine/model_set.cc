#include "fastserve/engine/model_set.h"

#include <charconv>
#include <utility>

#include "fastserve/base/quoted.h"

namespace fastserve::engine {
namespace {

Status bad_version(std::string_view text) {
  return invalid_argument(
      "failed to get model version from specified version string " + quoted(text) +
      ": expected a positive integer, or an empty string for the highest ready version");
}

}  // namespace

void ModelSet::add(ModelEntry entry) {
  entries_.push_back(std::make_unique<ModelEntry>(std::move(entry)));
  by_name_[entries_.back()->name] = entries_.back().get();
}

Result<Version*> ModelSet::find(std::string_view model, std::string_view version_text) const {
  const auto found = by_name_.find(model);
  if (found == by_name_.end()) {
    return Status(Code::kNotFound, "Request for unknown model: " + quoted(model) + " is not found");
  }
  const ModelEntry& entry = *found->second;
  if (version_text.empty()) {
    if (!entry.ready.empty()) return entry.ready.back().get();
    return Status(Code::kNotFound,
                  "Request for unknown model: " + quoted(model) + " has no available versions");
  }
  int64_t number = 0;
  const char* end = version_text.data() + version_text.size();
  const auto [stop, error] = std::from_chars(version_text.data(), end, number);
  if (error != std::errc() || stop != end || number <= 0) return bad_version(version_text);
  for (const VersionHandle& version : entry.ready) {
    if (version->config().number == number) return version.get();
  }
  const std::string name = quoted(model) + " version " + std::to_string(number);
  for (const UnavailableVersion& version : entry.unavailable) {
    if (version.number == number) {
      return Status(Code::kUnavailable, "Request for unknown model: " + name +
                                            " is not at ready state (" + version.reason + ")");
    }
  }
  return Status(Code::kNotFound, "Request for unknown model: " + name + " is not found");
}

}  // namespace fastserve::engine
