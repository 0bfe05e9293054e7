#include "fastserve/engine/model_set.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "fastserve/engine/engine.h"
#include "tests/gated_session.h"

using namespace fastserve;
using namespace fastserve::engine;

namespace {

struct Fixture {
  Fixture() {
    ModelEntry entry;
    entry.name = "m";
    for (const int64_t number : {1, 2, 3}) entry.ready.push_back(make(number));
    entry.serving = 2;
    entry.labels = {{"stable", 2}, {"canary", 3}, {"old", 7}, {"cold", 8}};
    entry.unavailable = {{7, "loading"}, {8, "unloaded", /*is_on_demand=*/true}};
    set.put(std::move(entry));
  }
  VersionHandle make(int64_t number) {
    VersionConfig config;
    config.model = "m";
    config.number = number;
    return engine.make_version(config, session).value();
  }

  std::shared_ptr<testing::GatedSession> session = std::make_shared<testing::GatedSession>();
  Engine engine{{.executors = 1}};
  ModelSet set;
};

// A request without headers and parameters.
class Plain final : public route::RequestView {
 public:
  std::string_view header(std::string_view) const override { return {}; }
  std::string_view parameter(std::string_view) const override { return {}; }
};

Result<FoundVersion> find(const ModelSet& set, std::string_view model, std::string_view version) {
  return set.find(model, version, Plain(), 0);
}

}  // namespace

TEST_CASE("model set finds the version that serves, by number and by label") {
  Fixture f;
  struct Case {
    const char* version;
    int64_t number;
  };
  for (const Case& c : {Case{"", 2}, {"1", 1}, {"3", 3}, {"stable", 2}, {"canary", 3}}) {
    CAPTURE(c.version);
    const Result<FoundVersion> found = find(f.set, "m", c.version);
    REQUIRE(found.ok());
    REQUIRE(found.value().version != nullptr);
    CHECK(found.value().version->config().number == c.number);
  }
  for (const char* version : {"8", "cold"}) {
    const Result<FoundVersion> found = find(f.set, "m", version);
    REQUIRE(found.ok());
    CHECK(found.value().version == nullptr);
  }
}

TEST_CASE("model set says what is wrong as Triton does") {
  Fixture f;
  ModelEntry none;
  none.name = "empty";
  f.set.put(std::move(none));
  struct Case {
    const char* model;
    const char* version;
    Code code;
    const char* text;
  };
  for (const Case& c : {
           Case{"x", "", Code::kNotFound, "Request for unknown model: 'x' is not found"},
           Case{"m", "99", Code::kNotFound, "'m' version 99 is not found"},
           Case{"empty", "", Code::kNotFound, "'empty' has no available versions"},
           Case{"m", "7", Code::kUnavailable, "version 7 is not at ready state (loading)"},
           Case{"m", "old", Code::kUnavailable, "version 7 is not at ready state (loading)"},
           Case{"m", "one", Code::kInvalidArgument, "failed to get model version"},
           Case{"m", "one", Code::kInvalidArgument, "a label (stable, canary, old, cold)"},
           Case{"m", "-1", Code::kInvalidArgument, "failed to get model version"},
           Case{"m", "1 ", Code::kInvalidArgument, "failed to get model version"},
           Case{"m", "99999999999999999999", Code::kInvalidArgument, "failed to get model version"},
       }) {
    CAPTURE(c.version);
    const Result<FoundVersion> found = find(f.set, c.model, c.version);
    REQUIRE_FALSE(found.ok());
    CHECK(found.status().code() == c.code);
    CHECK(found.status().message().find(c.text) != std::string::npos);
  }
}

TEST_CASE("a copy of a model set is changed without changing the first, and shares its entries") {
  Fixture f;
  const int64_t before = find(f.set, "m", "1").value().version->references();
  ModelSet copy(f.set);
  CHECK(find(f.set, "m", "1").value().version->references() == before);
  ModelEntry entry;
  entry.name = "m";
  entry.ready.push_back(f.make(4));
  entry.serving = 4;
  copy.put(std::move(entry));
  CHECK(find(copy, "m", "").value().version->config().number == 4);
  CHECK(find(f.set, "m", "").value().version->config().number == 2);
  copy.remove("m");
  copy.remove("nobody");
  CHECK(copy.size() == 0);
  CHECK_FALSE(find(copy, "m", "").ok());
  CHECK(find(f.set, "m", "").ok());
}

TEST_CASE("a route answers for requests that name no version, and for no others") {
  Fixture f;
  route::RouteSpec spec;
  spec.generation = 7;
  spec.entries = {{1, 1}, {3, 1}};
  ModelEntry entry;
  entry.name = "m";
  for (const int64_t number : {1, 2, 3}) entry.ready.push_back(f.make(number));
  entry.serving = 2;
  entry.route = route::RouteTable::make(spec, 1).value();
  f.set.put(entry);
  int counts[4] = {};
  for (int i = 0; i < 100; ++i) {
    const FoundVersion found = find(f.set, "m", "").value();
    REQUIRE(found.route != nullptr);
    CHECK(found.route->description(found.reason) == "weight;generation=7");
    ++counts[found.version->config().number];
  }
  CHECK(counts[1] == 50);
  CHECK(counts[3] == 50);
  const FoundVersion pinned = find(f.set, "m", "2").value();
  CHECK(pinned.version->config().number == 2);
  CHECK(pinned.route == nullptr);
  CHECK(entry.route->counts()[static_cast<size_t>(route::Reason::kWeight)] == 100);
}

TEST_CASE("a route's fallback answers for a version that cannot, and without one that is said") {
  Fixture f;
  route::RouteSpec spec;
  spec.entries = {{7, 1}};
  ModelEntry entry;
  entry.name = "m";
  entry.ready.push_back(f.make(1));
  entry.unavailable = {{7, "failed"}};
  entry.route = route::RouteTable::make(spec, 1).value();
  f.set.put(entry);
  CHECK(find(f.set, "m", "").status().message().find("version 7 is not at ready state (failed)") !=
        std::string::npos);
  spec.fallback = 1;
  entry.route = route::RouteTable::make(spec, 1).value();
  f.set.put(entry);
  const FoundVersion found = find(f.set, "m", "").value();
  CHECK(found.version->config().number == 1);
  CHECK(found.reason == route::Reason::kFallback);
}
