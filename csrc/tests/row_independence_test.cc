#include "fastserve/runtime/row_independence.h"

#include "test_model.h"

using namespace fastserve::runtime;
using namespace fastserve::runtime::testing;

namespace {

BatchingVerdict judge(const std::string& name, uint64_t seed = 1) {
  TestModel model(name);
  BatchingVerdict verdict = probe_row_independence(*model.session, seed);
  return verdict;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("probe finds rows independent where they are, whatever the seed") {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    for (const std::string name : {"mlp", "inner_axis", "unnamed_axis", "embedding",
                                   "identity_bytes", "exclaim", "identity_fp16", "identity_bf16",
                                   "identity_fp64", "identity_bool", "identity_uint8", "dropout"}) {
      CAPTURE(name);
      BatchingVerdict verdict = judge(name, seed);
      CHECK(verdict.is_safe);
      CHECK(contains(verdict.reason, "independent"));
    }
  }
}

TEST_CASE("probe finds mixed rows, whatever the seed") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (const std::string name : {"softmax_rows", "cumsum_rows", "sort_rows", "random"}) {
      CAPTURE(name);
      BatchingVerdict verdict = judge(name, seed);
      CHECK_FALSE(verdict.is_safe);
      CHECK(contains(verdict.reason, "depend on one another"));
      CHECK(contains(verdict.reason, "'y'"));
    }
  }
}

TEST_CASE("probe names the axis that stands against batching") {
  CHECK(judge("fixed_batch").reason == "first axis of input 'x' is fixed at 8");
  CHECK(contains(judge("scalar").reason, "'a' is a scalar"));
  CHECK(judge("nonzero").reason == "first axis of output 'y' is fixed at 1");
}

TEST_CASE("probe says why when no run works or rows are lost") {
  BatchingVerdict verdict = judge("liar");
  CHECK_FALSE(verdict.is_safe);
  verdict = judge("reshape_to_three");
  CHECK_FALSE(verdict.is_safe);
}
