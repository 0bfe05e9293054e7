#include "fastserve/engine/model_set.h"

#include <charconv>
#include <utility>

#include "fastserve/base/quoted.h"

namespace fastserve::engine {
namespace {

std::string unknown(std::string_view model) {
  return "Request for unknown model: " + quoted(model);
}

// The number that `text` stands for.
Result<int64_t> number_of(const ModelEntry& entry, std::string_view text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stop == end && number > 0) return number;
  std::string known;
  for (const auto& [label, labelled] : entry.labels) {
    if (label == text) return labelled;
    known += (known.empty() ? "" : ", ") + label;
  }
  return invalid_argument("failed to get model version from specified version string " +
                          quoted(text) + ": expected a positive integer, " +
                          (known.empty() ? "" : "a label (" + known + "), ") +
                          "or an empty string for the version that serves");
}

Result<Version*> find_number(const ModelEntry& entry, int64_t number) {
  for (const VersionHandle& version : entry.ready) {
    if (version->config().number == number) return version.get();
  }
  const std::string what = unknown(entry.name) + " version " + std::to_string(number);
  for (const UnavailableVersion& version : entry.unavailable) {
    if (version.number != number) continue;
    if (version.is_on_demand) return nullptr;
    return Status(Code::kUnavailable, what + " is not at ready state (" + version.reason + ")");
  }
  return Status(Code::kNotFound, what + " is not found");
}

}  // namespace

void ModelSet::put(ModelEntry entry) {
  auto shared = std::make_shared<const ModelEntry>(std::move(entry));
  // The old key lives in the old entry: both go together.
  entries_.erase(shared->name);
  entries_.emplace(shared->name, shared);
}

void ModelSet::remove(std::string_view model) { entries_.erase(model); }

Result<Version*> ModelSet::find(std::string_view model, std::string_view version_text) const {
  const auto found = entries_.find(model);
  if (found == entries_.end()) return Status(Code::kNotFound, unknown(model) + " is not found");
  const ModelEntry& entry = *found->second;
  if (version_text.empty()) {
    if (entry.serving != 0) return find_number(entry, entry.serving);
    return Status(Code::kNotFound, unknown(model) + " has no available versions");
  }
  Result<int64_t> number = number_of(entry, version_text);
  if (!number.ok()) return number.status();
  return find_number(entry, *number);
}

}  // namespace fastserve::engine
