#include "fastserve/sketch/category_sketch.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>

using namespace fastserve;
using namespace fastserve::sketch;

namespace {

// Zipf's law of exponent 1.1 over `distinct` values, by inversion of a table.
class Zipf {
 public:
  explicit Zipf(size_t distinct) {
    double sum = 0;
    for (size_t i = 1; i <= distinct; ++i) sums_.push_back(sum += std::pow(i, -1.1));
  }
  uint64_t operator()(std::mt19937_64* random) const {
    std::uniform_real_distribution<double> uniform(0, sums_.back());
    return static_cast<uint64_t>(std::lower_bound(sums_.begin(), sums_.end(), uniform(*random)) -
                                 sums_.begin());
  }

 private:
  std::vector<double> sums_;
};

using Counts = std::map<std::string, uint64_t>;

// Every counter is within its bound, and nobody above the bound is missing.
void check_bounds(const CategorySketch& sketch, const Counts& exact, size_t counters) {
  const uint64_t count = sketch.count() - sketch.missing();
  REQUIRE(sketch.error() <= count / (counters / 2 + 1));
  Counts kept;
  for (const HeavyHitter& hitter : sketch.top()) {
    REQUIRE(exact.contains(hitter.value));
    REQUIRE(hitter.count <= exact.at(hitter.value));
    REQUIRE(hitter.count + hitter.error >= exact.at(hitter.value));
    kept[hitter.value] = hitter.count;
  }
  REQUIRE(kept.size() <= counters);
  for (const auto& [value, times] : exact) {
    if (times > sketch.error()) REQUIRE(kept.contains(value));
  }
  const auto distinct = static_cast<double>(exact.size());
  if (sketch.error() == 0) {
    REQUIRE(sketch.distinct() == distinct);
  } else {
    // 3.25 % is one deviation.
    REQUIRE(sketch.distinct() == doctest::Approx(distinct).epsilon(4 * 0.0325));
  }
}

CategorySketch integers(std::mt19937_64* random, const Zipf& zipf, int count, Counts* exact) {
  CategorySketch sketch(DType::kInt64);
  for (int i = 0; i < count; ++i) {
    const uint64_t value = zipf(random);
    sketch.add_integer(value);
    ++(*exact)[std::to_string(value)];
  }
  return sketch;
}

}  // namespace

TEST_CASE("counters are exact while there are no more values than counters") {
  std::mt19937_64 random(3);
  Counts exact;
  const CategorySketch sketch = integers(&random, Zipf(128), 50'000, &exact);
  CHECK(sketch.error() == 0);
  check_bounds(sketch, exact, CategorySketch::kMaxIntegers);
  for (const HeavyHitter& hitter : sketch.top()) CHECK(hitter.count == exact[hitter.value]);
}

TEST_CASE("counters are within their bound whatever the number of values") {
  std::mt19937_64 random(5);
  for (const size_t distinct : {129, 300, 5'000, 200'000}) {
    Counts exact;
    const CategorySketch sketch = integers(&random, Zipf(distinct), 200'000, &exact);
    CHECK(sketch.error() > 0);
    check_bounds(sketch, exact, CategorySketch::kMaxIntegers);
  }
}

TEST_CASE("counters are within their bound where all values are different") {
  CategorySketch sketch(DType::kUint64);
  for (uint64_t i = 0; i < 300'000; ++i) sketch.add_integer(i);
  CHECK(sketch.error() <= 300'000 / 65);
  CHECK(sketch.distinct() == doctest::Approx(300'000).epsilon(0.13));
}

TEST_CASE("counters are within their bound after a hundred merges") {
  std::mt19937_64 random(7);
  Counts exact;
  CategorySketch merged(DType::kInt64);
  const Zipf few(40);
  const Zipf many(20'000);
  for (int part = 0; part < 100; ++part) {
    merged.merge(integers(&random, part % 2 == 0 ? few : many, 1'000 + part, &exact));
  }
  check_bounds(merged, exact, CategorySketch::kMaxIntegers);
}

TEST_CASE("text is told apart by all of it, and empty text is missing") {
  CategorySketch sketch(DType::kBytes);
  const std::string prefix(40, 'a');
  for (int i = 0; i < 30; ++i) sketch.add_text(prefix + std::to_string(i % 3));
  for (int i = 0; i < 5; ++i) sketch.add_text("");
  sketch.add_text("short");
  CHECK(sketch.count() == 36);
  CHECK(sketch.missing() == 5);
  CHECK(sketch.distinct() == 4);
  const std::vector<HeavyHitter> top = sketch.top();
  REQUIRE(top.size() == 4);
  CHECK(top[0].count == 10);
  CHECK(top[0].value.substr(0, 27) == std::string(23, 'a') + "...#");
  CHECK(top[3].value == "short");
}

TEST_CASE("a text's shown prefix ends with a whole character") {
  CategorySketch sketch(DType::kBytes);
  std::string text(22, 'a');
  for (int i = 0; i < 10; ++i) text += "\xc3\xa4";  // the 23rd byte is half of one
  sketch.add_text(text);
  CHECK(sketch.top()[0].value.substr(0, 26) == std::string(22, 'a') + "...#");
}

TEST_CASE("text counters are within their bound, also after merges") {
  std::mt19937_64 random(11);
  Counts exact;
  CategorySketch merged(DType::kBytes);
  const Zipf zipf(3'000);
  for (int part = 0; part < 20; ++part) {
    CategorySketch sketch(DType::kBytes);
    for (int i = 0; i < 5'000; ++i) {
      const std::string text = "value " + std::to_string(zipf(&random));
      sketch.add_text(text);
      ++exact[text];
    }
    merged.merge(sketch);
  }
  check_bounds(merged, exact, CategorySketch::kMaxTexts);
}

TEST_CASE("signed, unsigned and boolean values are shown as what they are") {
  CategorySketch small(DType::kInt8);
  small.add_integer(static_cast<uint64_t>(int64_t{-3}));
  CHECK(small.top()[0].value == "-3");
  CategorySketch large(DType::kUint64);
  large.add_integer(UINT64_MAX);
  CHECK(large.top()[0].value == "18446744073709551615");
  CategorySketch flag(DType::kBool);
  flag.add_integer(1);
  CHECK(flag.top()[0].value == "true");
}

TEST_CASE("a category sketch that was written and read goes on as the same") {
  std::mt19937_64 random(13);
  for (const size_t distinct : {1, 60, 128, 4'000}) {
    for (const DType dtype : {DType::kInt64, DType::kBytes}) {
      const Zipf zipf(distinct);
      CategorySketch sketch(dtype);
      const auto add = [&](CategorySketch* to, uint64_t value) {
        dtype == DType::kBytes ? to->add_text(std::to_string(value)) : to->add_integer(value);
      };
      for (int i = 0; i < 20'000; ++i) add(&sketch, zipf(&random));
      std::string bytes;
      sketch.serialize(&bytes);
      Result<CategorySketch> read = CategorySketch::parse(dtype, as_bytes(bytes));
      REQUIRE(read.ok());
      for (uint64_t i = 0; i < 1'000; ++i) {
        add(&sketch, i);
        add(&*read, i);
      }
      std::string ours;
      std::string theirs;
      sketch.serialize(&ours);
      read->serialize(&theirs);
      REQUIRE(ours == theirs);
    }
  }
}

TEST_CASE("a category sketch never holds more than its share of 4 KB") {
  std::mt19937_64 random(17);
  for (const DType dtype : {DType::kInt64, DType::kBytes}) {
    CategorySketch merged(dtype);
    for (int part = 0; part < 10; ++part) {
      CategorySketch sketch(dtype);
      for (int i = 0; i < 3'000; ++i) {
        const uint64_t value = random() % 1'000;
        dtype == DType::kBytes ? sketch.add_text("a text of some length " + std::to_string(value))
                               : sketch.add_integer(value);
        REQUIRE(sizeof(sketch) + sketch.heap_bytes() <= 4096);
      }
      merged.merge(sketch);
      REQUIRE(sizeof(merged) + merged.heap_bytes() <= 4096);
    }
    std::string bytes;
    merged.serialize(&bytes);
    REQUIRE(bytes.size() <= 4096);
  }
}
