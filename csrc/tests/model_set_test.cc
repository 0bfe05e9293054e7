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

}  // namespace

TEST_CASE("model set finds the version that serves, by number and by label") {
  Fixture f;
  struct Case {
    const char* version;
    int64_t number;
  };
  for (const Case& c : {Case{"", 2}, {"1", 1}, {"3", 3}, {"stable", 2}, {"canary", 3}}) {
    CAPTURE(c.version);
    Result<Version*> found = f.set.find("m", c.version);
    REQUIRE(found.ok());
    REQUIRE(*found != nullptr);
    CHECK((*found)->config().number == c.number);
  }
  for (const char* version : {"8", "cold"}) {
    Result<Version*> found = f.set.find("m", version);
    REQUIRE(found.ok());
    CHECK(*found == nullptr);
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
    Result<Version*> found = f.set.find(c.model, c.version);
    REQUIRE_FALSE(found.ok());
    CHECK(found.status().code() == c.code);
    CHECK(found.status().message().find(c.text) != std::string::npos);
  }
}

TEST_CASE("a copy of a model set is changed without changing the first, and shares its entries") {
  Fixture f;
  const int64_t before = f.set.find("m", "1").value()->references();
  ModelSet copy(f.set);
  CHECK(f.set.find("m", "1").value()->references() == before);
  ModelEntry entry;
  entry.name = "m";
  entry.ready.push_back(f.make(4));
  entry.serving = 4;
  copy.put(std::move(entry));
  CHECK((*copy.find("m", ""))->config().number == 4);
  CHECK((*f.set.find("m", ""))->config().number == 2);
  copy.remove("m");
  copy.remove("nobody");
  CHECK(copy.size() == 0);
  CHECK_FALSE(copy.find("m", "").ok());
  CHECK(f.set.find("m", "").ok());
}
