#include <algorithm>
#include <atomic>
#include <sstream>
#include <thread>

#include "test_model.h"

using namespace fastserve;
using namespace fastserve::runtime;
using namespace fastserve::runtime::testing;

namespace {

// A line of expected.txt: what the Python package answered.
struct Expected {
  Shape shape;
  std::vector<double> values;
};

Expected expected(const std::string& model, int output) {
  std::ifstream file(std::string(FASTSERVE_TEST_DATA) + "/expected.txt");
  std::string key = model + " " + std::to_string(output) + ": ";
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream words(line.substr(key.size()));
    Expected found;
    bool is_shape = true;
    for (std::string word; words >> word;) {
      if (word == "|") {
        is_shape = false;
      } else if (is_shape) {
        found.shape.push_back(std::stoll(word));
      } else {
        found.values.push_back(std::stod(word));
      }
    }
    return found;
  }
  FAIL("expected.txt has no line for " << key);
  return {};
}

std::vector<float> ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) / 8 - 1;
  return values;
}

template <typename T>
void check_equal(const TestModel& model, size_t output, const Expected& want) {
  CHECK(model.outputs[output].present);
  CHECK(model.outputs[output].shape == want.shape);
  std::vector<T> got = model.values<T>(output);
  REQUIRE(got.size() == want.values.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(static_cast<double>(got[i]) == doctest::Approx(want.values[i]).epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("runner answers as the Python package when weights lie in another file") {
  TestModel model("external", {}, "external.bin");
  REQUIRE(model.feed(Shape{5, 4}, ramp(20)).run().ok());
  check_equal<float>(model, 0, expected("external", 0));
  check_equal<int64_t>(model, 1, expected("external", 1));
}

TEST_CASE("runner answers as the Python package of ONNX Runtime") {
  TestModel mlp("mlp");
  for (int repeat = 0; repeat < 3; ++repeat) {  // allocated, then into our own memory
    REQUIRE(mlp.feed({5, 4}, ramp(20)).run().ok());
    check_equal<float>(mlp, 0, expected("mlp", 0));
    check_equal<int64_t>(mlp, 1, expected("mlp", 1));
  }
  TestModel softmax("softmax_rows");
  REQUIRE(softmax.feed({3, 4}, ramp(12)).run().ok());
  check_equal<float>(softmax, 0, expected("softmax_rows", 0));
  TestModel embedding("embedding");
  REQUIRE(embedding.feed<int64_t>({2, 3}, {0, 1, 2, 4, 3, 2}).run().ok());
  check_equal<float>(embedding, 0, expected("embedding", 0));
  TestModel inner("inner_axis");
  REQUIRE(inner.feed({2, 5, 2}, ramp(20)).run().ok());
  check_equal<float>(inner, 0, expected("inner_axis", 0));
}

TEST_CASE("runner keeps every bit of every element type") {
  for (const std::string name : {"bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16",
                                 "int32", "int64", "fp16", "bf16", "fp32", "fp64"}) {
    CAPTURE(name);
    TestModel model("identity_" + std::string(name));
    size_t size = dtype_size(model.session->signature().inputs[0].dtype);
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::vector<uint8_t> bytes(6 * size);
      bool is_bool = model.session->signature().inputs[0].dtype == DType::kBool;
      for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<uint8_t>(is_bool ? i & 1 : i * 37 + static_cast<size_t>(repeat));
      }
      REQUIRE(model.feed({3, 2}, bytes).run().ok());
      CHECK(model.outputs[0].shape == Shape{3, 2});
      CHECK(model.values<uint8_t>() == bytes);
    }
  }
}

TEST_CASE("runner keeps strings with NULs, empty ones and bytes that are not UTF-8") {
  TestModel model("identity_bytes");
  const std::vector<std::string> first = {std::string("a\0b", 3), "", "\xff\xfe", "plain"};
  const std::vector<std::string> second = {"", std::string(70000, 'x'), std::string(1, '\0'), "y"};
  for (const auto& strings : {first, second, first}) {
    REQUIRE(model.feed_strings({2, 2}, strings).run().ok());
    CHECK(model.outputs[0].shape == Shape{2, 2});
    CHECK(model.outputs[0].dtype == DType::kBytes);
    CHECK(model.strings() == strings);
  }
  REQUIRE(model.feed_strings({1, 2}, {"one", "row"}).run().ok());
  CHECK(model.strings() == std::vector<std::string>{"one", "row"});

  TestModel exclaim("exclaim");
  REQUIRE(exclaim.feed_strings({3}, {"ab", "", "cd"}).run().ok());
  CHECK(exclaim.strings() == std::vector<std::string>{"ab!", "!", "cd!"});
}

TEST_CASE("runner refuses bytes that do not fit the shape, naming the input") {
  auto check = [](Status status) {
    CHECK(status.code() == Code::kInvalidArgument);
    CHECK(status.message().find("'x'") != std::string::npos);
  };
  TestModel model("identity_fp32");
  check(model.feed<float>({3, 2}, {1, 2, 3, 4, 5}).run());
  check(model.feed<float>({3, 2}, {1, 2, 3, 4, 5, 6, 7}).run());
  check(model.feed<char>({1, 2}, std::vector<char>(9)).run());
  check(model.feed<float>({INT64_MAX, 2}, {1, 2}).run());
  check(model.feed<float>({-1, 2}, {1, 2}).run());
  TestModel strings("identity_bytes");
  check(strings.feed_strings({1, 2}, {"one"}).run());
  check(strings.feed_strings({1, 2}, {"one", "two", "three"}).run());
  check(strings.feed<char>({1, 1}, {5, 0, 0, 0, 'x'}).run());
  check(strings.feed<char>({int64_t{1} << 40, 1}, {5, 0, 0, 0, 'x'}).run());
  REQUIRE(model.feed<float>({1, 2}, {1, 2}).run().ok());
}

TEST_CASE("runner takes scalars and rows of none") {
  TestModel scalar("scalar");
  for (float a : {1.5F, -2.0F, 7.0F}) {
    REQUIRE(scalar.feed<float>({}, {a}).feed<float>({}, {2}).run().ok());
    CHECK(scalar.outputs[0].shape == Shape{});
    CHECK(scalar.values<float>() == std::vector<float>{a + 2});
  }
  for (const std::string name : {"identity_fp32", "identity_bytes"}) {
    TestModel model(name);
    REQUIRE(model.feed<char>({0, 2}, {}).run().ok());
    CHECK(model.outputs[0].present);
    CHECK(model.outputs[0].shape == Shape{0, 2});
    CHECK(model.outputs[0].data.empty());
  }
  TestModel mlp("mlp");
  REQUIRE(mlp.feed<float>({0, 4}, {}).run().ok());
  CHECK(mlp.outputs[0].shape == Shape{0, 3});
}

TEST_CASE("runner follows outputs whose shape the data decides") {
  TestModel model("nonzero");
  REQUIRE(model.feed<float>({4}, {0, 1, 0, 2}).run().ok());
  CHECK(model.outputs[0].shape == Shape{1, 2});
  CHECK(model.values<int64_t>() == std::vector<int64_t>{1, 3});
  REQUIRE(model.feed<float>({4}, {1, 1, 1, 2}).run().ok());
  CHECK(model.outputs[0].shape == Shape{1, 4});
  REQUIRE(model.feed<float>({4}, {0, 0, 0, 0}).run().ok());
  CHECK(model.outputs[0].shape == Shape{1, 0});
}

TEST_CASE("runner is right where the graph declares a shape that it does not keep") {
  TestModel model("liar");
  std::vector<float> x = {1, 2, 3};
  // All kept: as declared, and believed from then on.
  for (int repeat = 0; repeat < 3; ++repeat) {
    REQUIRE(model.feed<float>({3}, x).feed<uint8_t>({3}, {1, 1, 1}).run().ok());
    CHECK(model.values<float>() == x);
  }
  for (int repeat = 0; repeat < 3; ++repeat) {
    REQUIRE(model.feed<float>({3}, x).feed<uint8_t>({3}, {1, 0, 1}).run().ok());
    CHECK(model.outputs[0].shape == Shape{2});
    CHECK(model.values<float>() == std::vector<float>{1, 3});
  }
}

TEST_CASE("runner gives an input that is also an output as it was") {
  TestModel model("passthrough");
  for (int repeat = 0; repeat < 4; ++repeat) {
    for (size_t rows : {1, 3, 2000}) {  // staged and not
      CAPTURE(rows);
      std::vector<float> x(rows * 2);
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(i + rows) + static_cast<float>(repeat);
      REQUIRE(model.feed({static_cast<int64_t>(rows), 2}, x).run().ok());
      // run() above freed the caller's memory: an answer that pointed there would be caught by
      // ASan.
      CHECK(model.values<float>(0) == x);
      CHECK(model.values<float>(1)[1] == -x[1]);
    }
  }
}

TEST_CASE("runner gives constant outputs on every run") {
  TestModel model("constant_output");
  for (int repeat = 0; repeat < 4; ++repeat) {
    REQUIRE(model.feed<float>({1, 2}, {1, 2}).run().ok());
    CHECK(model.values<float>(0) == std::vector<float>{-1, -2});
    CHECK(model.outputs[1].shape == Shape{2});
    CHECK(model.values<float>(1) == std::vector<float>{1.5F, -2.5F});
  }
}

TEST_CASE("runner computes only the wanted outputs") {
  TestModel model("dropout");
  REQUIRE(model.feed<float>({1, 2}, {3, 4}).run({true, true}).ok());
  CHECK(model.values<uint8_t>(1) == std::vector<uint8_t>{1, 1});
  REQUIRE(model.feed<float>({1, 2}, {3, 4}).run({true, false}).ok());
  CHECK(model.values<float>(0) == std::vector<float>{3, 4});
  CHECK_FALSE(model.outputs[1].present);
  REQUIRE(model.feed<float>({1, 2}, {5, 6}).run({false, true}).ok());
  CHECK_FALSE(model.outputs[0].present);
  CHECK(model.outputs[1].present);
  REQUIRE(model.feed<float>({1, 2}, {5, 6}).run({false, false}).ok());
  CHECK_FALSE(model.outputs[0].present);
}

TEST_CASE("runner reports an optional output that the graph left out as absent") {
  TestModel model("optional_output");
  for (uint8_t give : {1, 0, 1, 0}) {
    REQUIRE(model.feed<uint8_t>({}, {give}).feed<float>({2}, {1, 2}).run().ok());
    CHECK(model.outputs[0].present == (give == 1));
    if (give == 1) CHECK(model.values<float>() == std::vector<float>{1, 2});
  }
}

TEST_CASE("runner keeps answers apart over many row counts in any order") {
  TestModel model("unnamed_axis");
  uint32_t state = 1;
  for (int run = 0; run < 2000; ++run) {
    state = state * 1664525 + 1013904223;
    size_t rows = 1 + (state >> 16) % 300;
    std::vector<float> x(rows * 2);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(run * 1000 + static_cast<int>(i));
    REQUIRE(model.feed({static_cast<int64_t>(rows), 2}, x).run().ok());
    for (float& value : x) value = -value;
    REQUIRE(model.values<float>() == x);
  }
}

TEST_CASE("runner reports a failing run with the operator's reason in one line and goes on") {
  TestModel model("reshape_to_three");
  REQUIRE(model.feed<float>({3}, {1, 2, 3}).run().ok());
  Status status = model.feed<float>({4}, {1, 2, 3, 4}).run();
  CHECK(status.code() == Code::kInternal);
  CHECK(status.message().find("Reshape") != std::string::npos);
  CHECK(status.message().find('\n') == std::string::npos);
  CHECK(status.message().find("onnxruntime_src") == std::string::npos);
  CHECK_FALSE(model.outputs[0].present);
  REQUIRE(model.feed<float>({3}, {4, 5, 6}).run().ok());
  CHECK(model.values<float>() == std::vector<float>{4, 5, 6});

  TestModel embedding("embedding");
  status = embedding.feed<int64_t>({1, 3}, {0, 1, 99}).run();
  CHECK(status.code() == Code::kInternal);
  TestModel fixed("fixed_batch");
  CHECK(fixed.feed<float>({1, 2}, {1, 2}).run().code() == Code::kInternal);
}

TEST_CASE("runner refuses the wrong number of inputs") {
  TestModel model("scalar");
  CHECK(model.feed<float>({}, {1}).run().code() == Code::kInternal);
}

TEST_CASE("terminate stops a run in progress and leaves the runner usable") {
  TestModel model("loop");
  std::vector<float> x(1000, 0.5F);
  for (int repeat = 0; repeat < 3; ++repeat) {
    model.feed<int64_t>({}, {int64_t{1} << 50}).feed({1000}, x);
    std::atomic<bool> is_done{false};
    // No effect before the run has begun, so it is asked for until the run has ended.
    std::thread other([&] {
      while (!is_done) {
        model.runner->terminate();
        std::this_thread::yield();
      }
    });
    Status status = model.run();
    is_done = true;
    other.join();
    CHECK(status.code() == Code::kCancelled);
    model.runner->terminate();  // idle: nothing
    REQUIRE(model.feed<int64_t>({}, {2}).feed({1000}, x).run().ok());
    CHECK(model.values<float>()[0] == doctest::Approx(0.4612695F));
  }
}

TEST_CASE("runners of one session work at once") {
  TestModel model("mlp");
  const Expected want = expected("mlp", 0);
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      std::unique_ptr<Runner> runner = model.session->make_runner();
      std::vector<float> x = ramp(20);
      RunInput input{{reinterpret_cast<const std::byte*>(x.data()), 80}, Shape{5, 4}};
      const bool wanted[] = {true, true};
      std::vector<RunOutput> outputs(2);
      for (int i = 0; i < 500; ++i) {
        bool is_right =
            runner->run({&input, 1}, wanted, outputs).ok() && outputs[0].shape == want.shape;
        float first = 0;
        if (is_right) std::memcpy(&first, outputs[0].data.data(), sizeof first);
        if (!is_right || std::abs(first - want.values[0]) > 1e-5) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
}

TEST_CASE("runner outlives the session's other owners") {
  std::unique_ptr<Runner> runner;
  {
    TestModel model("mlp");
    runner = model.session->make_runner();
  }
  std::vector<float> x(4);
  RunInput input{{reinterpret_cast<const std::byte*>(x.data()), 16}, Shape{1, 4}};
  const bool wanted[] = {true, false};
  std::vector<RunOutput> outputs(2);
  CHECK(runner->run({&input, 1}, wanted, outputs).ok());
}
