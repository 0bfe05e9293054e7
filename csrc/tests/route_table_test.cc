#include "fastserve/route/route_table.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fastserve {
namespace {

using route::Choice;
using route::HeaderRule;
using route::Reason;
using route::RequestView;
using route::RouteEntry;
using route::RouteSpec;
using route::RouteTable;
using route::SlotMap;
using route::StickyKey;

class Asked final : public RequestView {
 public:
  std::map<std::string, std::string, std::less<>> headers;
  std::map<std::string, std::string, std::less<>> parameters;

  std::string_view header(std::string_view name) const override { return of(headers, name); }
  std::string_view parameter(std::string_view name) const override { return of(parameters, name); }

 private:
  static std::string_view of(const std::map<std::string, std::string, std::less<>>& values,
                             std::string_view name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string_view() : std::string_view(found->second);
  }
};

RouteSpec weights(std::vector<RouteEntry> entries) {
  RouteSpec spec;
  spec.entries = std::move(entries);
  spec.seed = 7;
  return spec;
}

std::shared_ptr<const RouteTable> table_of(RouteSpec spec) {
  return RouteTable::make(std::move(spec), 2).value();
}

TEST_CASE("weights are dealt exactly in the long run and evenly in every short one") {
  const std::vector<RouteEntry> entries = {{1, 90}, {2, 9}, {3, 1}};
  const auto table = table_of(weights(entries));
  const Asked nobody;
  std::map<int64_t, int> counts;
  for (int n = 1; n <= 100'000; ++n) {
    const Choice choice = table->choose(nobody, 0);
    CHECK(choice.reason == Reason::kWeight);
    ++counts[choice.version];
    for (const RouteEntry& entry : entries) {
      CHECK(std::abs(counts[entry.version] - n * entry.weight / 100) < 5);
    }
  }
}

TEST_CASE("threads deal from starts of their own") {
  const auto table = table_of(weights({{1, 1}, {2, 1}}));
  const Asked nobody;
  int different = 0;
  for (int n = 0; n < 100; ++n) {
    different += table->choose(nobody, 0).version != table->choose(nobody, 1).version ? 1 : 0;
  }
  CHECK(different > 0);
}

TEST_CASE("an entry of weight 0 is never chosen, wherever it stands") {
  for (const std::vector<RouteEntry>& entries : {std::vector<RouteEntry>{{1, 0}, {2, 5}, {3, 5}},
                                                 {{2, 5}, {1, 0}, {3, 5}},
                                                 {{2, 5}, {3, 5}, {1, 0}}}) {
    RouteSpec spec = weights(entries);
    spec.sticky = {StickyKey::Source::kHeader, "user"};
    const auto table = table_of(spec);
    for (const uint64_t point : {uint64_t{0}, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX}) {
      CHECK(table->choose_point(point).version != 1);
    }
    for (int key = 0; key < 1000; ++key) {
      CHECK(table->choose_key(std::to_string(key)).version != 1);
    }
  }
}

TEST_CASE("a sticky key chooses the same version every time, in every table of the same weights") {
  RouteSpec spec = weights({{1, 1}, {2, 1}});
  spec.sticky = {StickyKey::Source::kHeader, "user"};
  const auto table = table_of(spec);
  const auto again = table_of(spec);
  std::map<int64_t, int> counts;
  Asked asked;
  for (int user = 0; user < 2000; ++user) {
    asked.headers["user"] = "user-" + std::to_string(user);
    const Choice choice = table->choose(asked, 0);
    CHECK(choice.reason == Reason::kSticky);
    CHECK(table->choose(asked, 1).version == choice.version);
    CHECK(again->choose(asked, 0).version == choice.version);
    ++counts[choice.version];
  }
  // Four standard deviations of 2,000 draws.
  CHECK(std::abs(counts[1] - 1000) < 4 * std::sqrt(2000 * 0.25));
}

TEST_CASE("a request without the key is dealt by weight") {
  RouteSpec spec = weights({{1, 1}, {2, 1}});
  spec.sticky = {StickyKey::Source::kParameter, "user"};
  const auto table = table_of(spec);
  Asked asked;
  CHECK(table->choose(asked, 0).reason == Reason::kWeight);
  asked.parameters["user"] = "u";
  CHECK(table->choose(asked, 0).reason == Reason::kSticky);
}

// Of 100,000 keys, the part whose version differs between the tables.
double moved(const RouteTable& before, const RouteTable& after) {
  constexpr int kKeys = 100'000;
  int count = 0;
  for (int key = 0; key < kKeys; ++key) {
    const std::string text = "key/" + std::to_string(key);
    count += before.choose_key(text).version != after.choose_key(text).version ? 1 : 0;
  }
  return static_cast<double>(count) / kKeys;
}

TEST_CASE("when a weight moves by x %, at most x % + 0.5 % of the keys change their version") {
  RouteSpec spec = weights({{1, 50}, {2, 30}, {3, 20}});
  spec.sticky = {StickyKey::Source::kHeader, "user"};
  for (const uint64_t seed : {1u, 2u, 3u}) {
    spec.seed = seed;
    const auto before = table_of(spec);
    for (const double step : {1.0, 5.0, 25.0}) {
      RouteSpec changed = spec;
      // Version 2 gains `step` points of 100 from the others, in proportion.
      changed.entries = {{1, 50 - step * 50 / 70}, {2, 30 + step}, {3, 20 - step * 20 / 70}};
      CAPTURE(step);
      CHECK(moved(*before, *table_of(changed)) <= step / 100 + 0.005);
    }
    RouteSpec without = spec;
    without.entries = {{1, 50}, {2, 30}};
    CHECK(moved(*before, *table_of(without)) <= 0.205);
  }
}

TEST_CASE("shares of slots are the weights' to within four standard deviations") {
  RouteSpec spec = weights({{1, 60}, {2, 39}, {3, 1}});
  spec.sticky = {StickyKey::Source::kHeader, "user"};
  const auto table = table_of(spec);
  double sum = 0;
  for (size_t i = 0; i < 3; ++i) {
    const double wanted = spec.entries[i].weight / 100;
    const double share = table->slots()->share(i);
    sum += share;
    CHECK(std::abs(share - wanted) < 4 * std::sqrt(wanted * (1 - wanted) / SlotMap::kSlots));
  }
  CHECK(sum == doctest::Approx(1));
}

TEST_CASE("rules go before keys and weights, the first that matches decides") {
  RouteSpec spec = weights({{1, 1}});
  spec.sticky = {StickyKey::Source::kHeader, "user"};
  spec.rules = {
      {.header = "x-team", .match = HeaderRule::Match::kEquals, .value = "search", .version = 2},
      {.header = "x-team", .match = HeaderRule::Match::kPrefix, .value = "sea", .version = 3},
      {.header = "x-beta", .match = HeaderRule::Match::kPresent, .value = "", .version = 4},
  };
  const auto table = table_of(spec);
  auto version_for = [&](std::string name, std::string value) {
    Asked asked;
    asked.headers["user"] = "u";
    asked.headers[std::move(name)] = std::move(value);
    const Choice choice = table->choose(asked, 0);
    CHECK((choice.reason == Reason::kRule) == (choice.version != 1));
    return choice.version;
  };
  CHECK(version_for("x-team", "search") == 2);
  CHECK(version_for("x-team", "seal") == 3);
  CHECK(version_for("x-team", "other") == 1);
  CHECK(version_for("x-beta", "on") == 4);
  CHECK(version_for("x-beta", "") == 1);
}

TEST_CASE("a route that cannot be is refused with its entry or rule") {
  auto refusal = [](RouteSpec spec) { return RouteTable::make(std::move(spec), 1).status(); };
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(refusal(weights({})).message().find("0 entries") != std::string::npos);
  CHECK(refusal(weights(std::vector<RouteEntry>(65, RouteEntry{1, 1}))).code() ==
        Code::kInvalidArgument);
  CHECK(refusal(weights({{1, -1}})).message().find("entry 1: weight -1") != std::string::npos);
  CHECK(refusal(weights({{1, std::nan("")}})).code() == Code::kInvalidArgument);
  CHECK(refusal(weights({{1, infinity}})).code() == Code::kInvalidArgument);
  CHECK(refusal(weights({{1, 1e308}, {2, 1e308}})).code() == Code::kInvalidArgument);
  CHECK(refusal(weights({{1, 0}, {2, 0}})).message().find("more than 0") != std::string::npos);
  CHECK(refusal(weights({{0, 1}})).message().find("version 0") != std::string::npos);
  CHECK(refusal(weights({{1, 1}, {1, 1}})).message().find("entry 2: version 1 has an entry") !=
        std::string::npos);
  RouteSpec spec = weights({{1, 1}});
  spec.rules = {{.header = "X-Team", .value = "a", .version = 1}};
  CHECK(refusal(spec).message().find("rule 1: header 'X-Team'") != std::string::npos);
  spec.rules = {{.header = "x-team", .value = "a", .version = 0}};
  CHECK(refusal(spec).message().find("names no version") != std::string::npos);
  spec.rules.clear();
  spec.sticky = {StickyKey::Source::kParameter, ""};
  CHECK(refusal(spec).message().find("names no parameter") != std::string::npos);
}

}  // namespace
}  // namespace fastserve
