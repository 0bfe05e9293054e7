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

Version* ready_version(const ModelEntry& entry, int64_t number) {
  for (const VersionHandle& version : entry.ready) {
    if (version->config().number == number) return version.get();
  }
  return nullptr;
}

Result<FoundVersion> find_number(const ModelEntry& entry, int64_t number) {
  if (Version* version = ready_version(entry, number)) return FoundVersion{.version = version};
  const std::string what = unknown(entry.name) + " version " + std::to_string(number);
  for (const UnavailableVersion& version : entry.unavailable) {
    if (version.number != number) continue;
    if (version.is_on_demand) return FoundVersion{};
    return Status(Code::kUnavailable, what + " is not at ready state (" + version.reason + ")");
  }
  return Status(Code::kNotFound, what + " is not found");
}

Result<FoundVersion> follow_route(const ModelEntry& entry, const route::RequestView& request,
                                  size_t writer) {
  const route::RouteTable& route = *entry.route;
  route::Choice choice = route.choose(request, writer);
  Version* version = ready_version(entry, choice.version);
  if (version == nullptr && route.spec().fallback != 0) {
    choice = {route.spec().fallback, route::Reason::kFallback};
    version = ready_version(entry, choice.version);
  }
  if (version == nullptr) return find_number(entry, choice.version);
  route.count(choice.reason, writer);
  return FoundVersion{.version = version, .route = &route, .reason = choice.reason};
}

}  // namespace

void ModelSet::put(ModelEntry entry) {
  auto shared = std::make_shared<const ModelEntry>(std::move(entry));
  // The old key lives in the old entry: both go together.
  entries_.erase(shared->name);
  entries_.emplace(shared->name, shared);
}

void ModelSet::remove(std::string_view model) { entries_.erase(model); }

const ModelEntry* ModelSet::entry(std::string_view model) const {
  const auto found = entries_.find(model);
  return found == entries_.end() ? nullptr : found->second.get();
}

Result<FoundVersion> ModelSet::find(std::string_view model, std::string_view version_text,
                                    const route::RequestView& request, size_t writer) const {
  const ModelEntry* known = this->entry(model);
  if (known == nullptr) return Status(Code::kNotFound, unknown(model) + " is not found");
  const ModelEntry& entry = *known;
  if (version_text.empty()) {
    if (entry.route != nullptr) return follow_route(entry, request, writer);
    if (entry.serving != 0) return find_number(entry, entry.serving);
    return Status(Code::kNotFound, unknown(model) + " has no available versions");
  }
  Result<int64_t> number = number_of(entry, version_text);
  if (!number.ok()) return number.status();
  return find_number(entry, *number);
}

}  // namespace fastserve::engine
