#include "fastserve/route/route_table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fastserve/base/quoted.h"
#include "fastserve/base/random.h"

namespace fastserve::route {
namespace {

// Starts of the threads, apart from each other and from the steps.
constexpr uint64_t kStartStep = 0xd1b54a32d192ed03;

bool is_header_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

Status bad_header(std::string_view what, std::string_view name) {
  return invalid_argument(std::string(what) + ": header " + quoted(name) +
                          ", expected lower-case letters, digits, '-', '_' and '.'");
}

bool matches(const HeaderRule& rule, const RequestView& request) {
  const std::string_view value = request.header(rule.header);
  if (value.empty()) return false;
  switch (rule.match) {
    case HeaderRule::Match::kEquals:
      return value == rule.value;
    case HeaderRule::Match::kPrefix:
      return value.starts_with(rule.value);
    case HeaderRule::Match::kPresent:
      return true;
  }
  return false;
}

}  // namespace

std::string_view reason_name(Reason reason) {
  switch (reason) {
    case Reason::kRule:
      return "rule";
    case Reason::kSticky:
      return "sticky";
    case Reason::kWeight:
      return "weight";
    case Reason::kFallback:
      return "fallback";
  }
  return "";
}

Status RouteTable::check(const RouteSpec& spec) {
  if (spec.entries.empty() || spec.entries.size() > SlotMap::kMaxEntries) {
    return invalid_argument("a route of " + std::to_string(spec.entries.size()) +
                            " entries, expected 1 to " + std::to_string(SlotMap::kMaxEntries));
  }
  double sum = 0;
  for (size_t i = 0; i < spec.entries.size(); ++i) {
    const RouteEntry& entry = spec.entries[i];
    const std::string what = "route entry " + std::to_string(i + 1);
    if (entry.version < 1) {
      return invalid_argument(what + ": version " + std::to_string(entry.version) +
                              ", expected a positive number");
    }
    for (size_t j = 0; j < i; ++j) {
      if (spec.entries[j].version != entry.version) continue;
      return invalid_argument(what + ": version " + std::to_string(entry.version) +
                              " has an entry already");
    }
    if (!std::isfinite(entry.weight) || entry.weight < 0) {
      return invalid_argument(what + ": weight " + std::to_string(entry.weight) + " of version " +
                              std::to_string(entry.version) +
                              ", expected a finite number that is not negative");
    }
    sum += entry.weight;
  }
  if (!(sum > 0) || !std::isfinite(sum)) {
    return invalid_argument("the weights of a route are " + std::to_string(sum) +
                            " together, expected more than 0 and a finite number");
  }
  for (size_t i = 0; i < spec.rules.size(); ++i) {
    const std::string what = "route rule " + std::to_string(i + 1);
    if (!is_header_name(spec.rules[i].header)) return bad_header(what, spec.rules[i].header);
    if (spec.rules[i].version < 1) return invalid_argument(what + ": names no version");
  }
  if (spec.fallback < 0) return invalid_argument("a route's fallback is a version or 0");
  if (spec.sticky.source == StickyKey::Source::kHeader && !is_header_name(spec.sticky.name)) {
    return bad_header("sticky key", spec.sticky.name);
  }
  if (spec.sticky.source == StickyKey::Source::kParameter && spec.sticky.name.empty()) {
    return invalid_argument("the sticky key names no parameter");
  }
  return ok_status();
}

Result<std::shared_ptr<const RouteTable>> RouteTable::make(RouteSpec spec, size_t writers) {
  if (Status status = check(spec); !status.ok()) return status;
  return std::shared_ptr<const RouteTable>(new RouteTable(std::move(spec), writers));
}

RouteTable::RouteTable(RouteSpec spec, size_t writers) : spec_(std::move(spec)), turns_(writers) {
  double sum = 0;
  for (const RouteEntry& entry : spec_.entries) sum += entry.weight;
  double before = 0;
  for (const RouteEntry& entry : spec_.entries) {
    before += entry.weight;
    const double end = std::min(before / sum, 1.0) * 0x1p64;
    ends_.push_back(end >= 0x1p64 ? UINT64_MAX : static_cast<uint64_t>(end));
  }
  // Whatever the sums were rounded to, the line ends where the last entry with a weight does.
  for (size_t i = spec_.entries.size(); i-- > 0;) {
    ends_[i] = UINT64_MAX;
    if (spec_.entries[i].weight > 0) break;
  }
  if (spec_.sticky.source != StickyKey::Source::kNone) {
    std::vector<SlotMap::Entry> entries;
    for (const RouteEntry& entry : spec_.entries) {
      entries.push_back({static_cast<uint64_t>(entry.version), entry.weight / sum});
    }
    slots_ = std::make_unique<const SlotMap>(entries, spec_.seed);
  }
  for (size_t reason = 0; reason < kReasonCount; ++reason) {
    descriptions_[reason] = std::string(reason_name(static_cast<Reason>(reason))) +
                            ";generation=" + std::to_string(spec_.generation);
  }
  for (size_t writer = 0; writer < writers; ++writer) {
    turns_[writer].point = spec_.seed + writer * kStartStep;
  }
}

void RouteTable::count(Reason reason, size_t writer) const {
  std::atomic<uint64_t>& count = turns_[writer].counts[static_cast<size_t>(reason)];
  // One thread writes: no locked instruction is needed.
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

std::array<uint64_t, kReasonCount> RouteTable::counts() const {
  std::array<uint64_t, kReasonCount> sums{};
  for (const Turn& turn : turns_) {
    for (size_t reason = 0; reason < kReasonCount; ++reason) {
      sums[reason] += turn.counts[reason].load(std::memory_order_relaxed);
    }
  }
  return sums;
}

const HeaderRule* RouteTable::match(const RequestView& request) const {
  for (const HeaderRule& rule : spec_.rules) {
    if (matches(rule, request)) return &rule;
  }
  return nullptr;
}

std::string_view RouteTable::sticky_key(const RequestView& request) const {
  switch (spec_.sticky.source) {
    case StickyKey::Source::kNone:
      return {};
    case StickyKey::Source::kHeader:
      return request.header(spec_.sticky.name);
    case StickyKey::Source::kParameter:
      return request.parameter(spec_.sticky.name);
  }
  return {};
}

Choice RouteTable::choose(const RequestView& request, size_t writer) const {
  if (!spec_.rules.empty()) {
    if (const HeaderRule* rule = match(request)) return {rule->version, Reason::kRule};
  }
  if (slots_ != nullptr) {
    const std::string_view key = sticky_key(request);
    if (!key.empty()) return choose_key(key);
  }
  return choose_point(turns_[writer].point += kGoldenStep);
}

Choice RouteTable::choose_key(std::string_view key) const {
  return {spec_.entries[slots_->find(key)].version, Reason::kSticky};
}

Choice RouteTable::choose_point(uint64_t point) const {
  size_t entry = 0;
  while (point > ends_[entry] || spec_.entries[entry].weight <= 0) ++entry;
  return {spec_.entries[entry].version, Reason::kWeight};
}

}  // namespace fastserve::route
