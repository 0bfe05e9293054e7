#include <doctest/doctest.h>

#include <numeric>
#include <string>

#include "fastserve/route/explanation.h"

namespace fastserve {
namespace {

using route::explain;
using route::HeaderRule;
using route::Reason;
using route::RouteSpec;
using route::RouteTable;
using route::StickyKey;

RouteSpec sticky_spec() {
  RouteSpec spec;
  spec.entries = {{1, 75}, {2, 25}};
  spec.rules = {
      {.header = "x-tenant", .match = HeaderRule::Match::kPrefix, .value = "ac", .version = 3},
      {.header = "x-debug", .match = HeaderRule::Match::kPresent, .value = "", .version = 4}};
  spec.sticky = {StickyKey::Source::kParameter, "user"};
  spec.seed = 7;
  return spec;
}

TEST_CASE("an explanation says what the table would choose, and counts nothing") {
  const auto table = RouteTable::make(sticky_spec(), 1).value();
  const auto by_rule = explain(*table, {{"x-debug", "1"}}, {{"user", "anna"}});
  CHECK(by_rule.version == 4);
  CHECK(by_rule.reason == static_cast<size_t>(Reason::kRule));
  CHECK(by_rule.rule == 1);
  CHECK(by_rule.slot == -1);
  for (int n = 0; n < 100; ++n) {
    const std::string key = "user-" + std::to_string(n);
    const auto by_key = explain(*table, {}, {{"user", key}});
    CHECK(by_key.version == table->choose_key(key).version);
    CHECK(by_key.slot == static_cast<int64_t>(table->slots()->slot_of(key)));
    CHECK(by_key.rule == -1);
  }
  const auto by_weight = explain(*table, {{"user", "a header is no parameter"}}, {});
  CHECK(by_weight.version == 0);
  CHECK(by_weight.reason == static_cast<size_t>(Reason::kWeight));
  CHECK(table->counts() == std::array<uint64_t, route::kReasonCount>{});
}

TEST_CASE("shares are the map's with a key and the weights' without") {
  RouteSpec spec = sticky_spec();
  const auto of_keys = route::shares(*RouteTable::make(spec, 1).value());
  CHECK(std::accumulate(of_keys.begin(), of_keys.end(), 0.0) == doctest::Approx(1));
  CHECK(of_keys[1] == doctest::Approx(0.25).epsilon(0.03));
  spec.sticky = {};
  const auto of_weights = route::shares(*RouteTable::make(spec, 1).value());
  CHECK(of_weights == std::vector<double>{0.75, 0.25});
}

}  // namespace
}  // namespace fastserve
