// RouteTable: which version answers a request that names none.
//
// In this order: the first rule whose header matches; the sticky key's slot; the weights. A request
// that names a version or a label never comes here.
//
// Weights without a key are dealt, not drawn: the n-th request takes the point frac(n * phi) of a
// line on which each entry owns a part as long as its share (phi: the golden ratio). By the
// three-distance theorem those points lie as evenly as points can, for every n: over any run of
// requests each entry gets its share to within a few requests, and in the long run exactly. Each
// serving thread deals for itself, from another start.
//
// Thread: any number; immutable but for each thread's own place in the dealing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/route/slot_map.h"

namespace fastserve::route {

struct RouteEntry {
  int64_t version = 0;
  double weight = 0;  // of the sum of all weights
};

struct HeaderRule {
  // An empty header counts as absent.
  enum class Match : uint8_t { kEquals, kPrefix, kPresent };

  std::string header;  // lower case
  Match match = Match::kEquals;
  std::string value;
  int64_t version = 0;
};

struct StickyKey {
  enum class Source : uint8_t { kNone, kHeader, kParameter };

  Source source = Source::kNone;
  std::string name;  // of the header (lower case) or of the request's parameter
};

struct RouteSpec {
  uint64_t generation = 0;
  std::vector<RouteEntry> entries;
  std::vector<HeaderRule> rules;
  StickyKey sticky;
  uint64_t seed = 0;
  // Answers when the chosen version cannot; 0: nobody does.
  int64_t fallback = 0;
};

// Why a version was chosen; in the words of reply metadata and metrics.
enum class Reason : uint8_t { kRule, kSticky, kWeight, kFallback };
inline constexpr size_t kReasonCount = 4;
std::string_view reason_name(Reason reason);

struct Choice {
  int64_t version = 0;
  Reason reason = Reason::kWeight;
};

// What of a request a route may look at.
class RequestView {
 public:
  virtual ~RequestView() = default;
  // First value of a header; empty when it is absent.
  virtual std::string_view header(std::string_view name) const = 0;
  // As text; empty when it is absent. Valid until the next call.
  virtual std::string_view parameter(std::string_view name) const = 0;
};

class RouteTable {
 public:
  // Errors: kInvalidArgument, saying which entry or rule: no entries or more than
  // SlotMap::kMaxEntries, a version twice or below 1, a weight that is negative or not finite, all
  // weights 0, a header that is empty or not lower case, a sticky key without a name.
  static Result<std::shared_ptr<const RouteTable>> make(RouteSpec spec, size_t writers);

  const RouteSpec& spec() const { return spec_; }
  // What replies say of a choice: "sticky;generation=7".
  std::string_view description(Reason reason) const {
    return descriptions_[static_cast<size_t>(reason)];
  }
  // Counts a choice. Thread: the writer's.
  void count(Reason reason, size_t writer) const;
  // Choices by reason, of all writers. Thread: any.
  std::array<uint64_t, kReasonCount> counts() const;

  // Thread: the writer's.
  Choice choose(const RequestView& request, size_t writer) const;
  // What choose() says for this key, or for no key the entry at `point` of the line, in [0, 2^64).
  Choice choose_key(std::string_view key) const;
  Choice choose_point(uint64_t point) const;
  // Null when no rule matches.
  const HeaderRule* match(const RequestView& request) const;
  // Empty when there is none.
  std::string_view sticky_key(const RequestView& request) const;
  // Of an entry, as keys see it: the weight's share to within the map's error.
  const SlotMap* slots() const { return slots_.get(); }

 private:
  RouteTable(RouteSpec spec, size_t writers);
  static Status check(const RouteSpec& spec);

  // Of one thread: its place in the dealing, and what it counted (others read that).
  struct alignas(64) Turn {
    uint64_t point = 0;
    std::array<std::atomic<uint64_t>, kReasonCount> counts{};
  };

  const RouteSpec spec_;
  std::array<std::string, kReasonCount> descriptions_;
  std::vector<uint64_t> ends_;  // of each entry's part of the line; the last is 2^64 - 1
  std::unique_ptr<const SlotMap> slots_;
  mutable std::vector<Turn> turns_;
};

}  // namespace fastserve::route
