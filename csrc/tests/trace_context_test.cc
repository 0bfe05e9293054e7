// What a traceparent may look like, by the examples and the rules of W3C Trace Context,
// section 3.2.
#include "fastserve/front/trace_context.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "fastserve/base/random.h"
#include "tests/wire_bytes.h"

using namespace fastserve;
using namespace fastserve::front;

namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kParent = "00f067aa0ba902b7";

std::string traceparent(const std::string& version, const std::string& flags,
                        const std::string& more = "") {
  return version + "-" + kTrace + "-" + kParent + "-" + flags + more;
}

}  // namespace

TEST_CASE("trace_context reads the trace, the parent and whether it is sampled") {
  TraceContext context;
  REQUIRE(parse_traceparent(traceparent("00", "01"), &context));
  CHECK(context.trace_id == TraceId{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736});
  CHECK(context.parent_id == 0x00f067aa0ba902b7);
  CHECK(context.is_sampled);
  REQUIRE(parse_traceparent(traceparent("00", "00"), &context));
  CHECK_FALSE(context.is_sampled);
}

TEST_CASE("trace_context reads the sampled bit alone of flags that it does not know") {
  TraceContext context;
  for (const auto& [flags, is_sampled] :
       std::vector<std::pair<std::string, bool>>{{"03", true}, {"02", false}, {"ff", true}}) {
    REQUIRE(parse_traceparent(traceparent("00", flags), &context));
    CHECK(context.is_sampled == is_sampled);
  }
}

TEST_CASE("trace_context reads of a later version what version 00 has") {
  TraceContext context;
  CHECK(parse_traceparent(traceparent("cc", "01"), &context));
  CHECK(parse_traceparent(traceparent("cc", "01", "-what-the-future-will-be-like"), &context));
  CHECK(parse_traceparent(traceparent("01", "01", "-"), &context));
  CHECK_FALSE(parse_traceparent(traceparent("cc", "01", ".what-the-future-will-not"), &context));
}

TEST_CASE("trace_context refuses what is no traceparent and leaves the context alone") {
  const std::string zeros(32, '0');
  const std::vector<std::string> wrong = {
      "",
      "0",
      "garbage",
      traceparent("ff", "01"),                                   // a version that is never valid
      traceparent("00", "01", "-more"),                          // version 00 has four parts
      traceparent("00", "01", " "),                              //
      traceparent("00", "0"),                                    // too short
      traceparent("0G", "01"),                                   //
      traceparent("00", "0x"),                                   //
      traceparent("00", "+1"),                                   //
      "00-" + zeros + "-" + kParent + "-01",                     //
      "00-" + kTrace + "-" + zeros.substr(0, 16) + "-01",        //
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + kParent + "-01",  // upper case
      "00_" + kTrace + "_" + kParent + "_01",                    //
      "00-" + kTrace + "-" + kParent + "01-",                    //
      wire::raw("00-4bf92f3577b34da6a3ce929d0e0e473\0-00f067aa0ba902b7-01"),
      "00-4bf92f3577b34da6a3ce929d0e0e47\xc3\xa4-" + kParent + "-01",
      wire::repeated("0", 10'000),
      wire::repeated("-", 55),
  };
  for (const std::string& text : wrong) {
    CAPTURE(text);
    TraceContext context;
    CHECK_FALSE(parse_traceparent(text, &context));
    CHECK_FALSE(context.trace_id.is_valid());
    CHECK(context.parent_id == 0);
  }
}

TEST_CASE("trace_context never reads past a traceparent that ends early") {
  const std::string whole = traceparent("00", "01");
  for (size_t size = 0; size < whole.size(); ++size) {
    // Of its own size on the heap, so that AddressSanitizer sees a byte too many.
    const std::vector<char> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    TraceContext context;
    CHECK_FALSE(parse_traceparent({part.data(), part.size()}, &context));
  }
}

TEST_CASE("sample_bound takes the share that it is asked for, by the id alone") {
  CHECK(sample_bound(0) == 0);
  CHECK(sample_bound(-1) == 0);
  CHECK(sample_bound(1) == kTakesAll);
  CHECK(is_below(UINT64_MAX, kTakesAll));
  CHECK(sample_bound(0.5) == uint64_t{1} << 63);
  CHECK_FALSE(is_below(0, sample_bound(0)));
  Random random;
  constexpr int kDraws = 100'000;
  int taken = 0;
  for (int i = 0; i < kDraws; ++i) taken += is_below(random.next(), sample_bound(0.1)) ? 1 : 0;
  // Six standard deviations of a binomial.
  CHECK(taken > 10'000 - 570);
  CHECK(taken < 10'000 + 570);
}
