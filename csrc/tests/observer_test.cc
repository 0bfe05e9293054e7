#include "fastserve/engine/observer.h"

#include <doctest/doctest.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <ctime>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/engine_fixture.h"
#include "tests/guarded_page.h"

namespace fastserve {
namespace {

using engine::BlockStack;
using engine::Observation;
using engine::ObservationBlock;
using engine::ObservationReader;
using engine::ObservationSink;
using engine::ObservedRequest;
using engine::ObservedTensor;
using engine::Observer;
using engine::ObserverOptions;
using testing::Asked;
using testing::EngineFixture;

// Keeps all that it is told.
class Listener final : public ObservationSink {
 public:
  struct Told {
    uint32_t rows;
    bool is_sketched;
    std::vector<ObservedRequest> requests;
    std::vector<std::string> ids;
    std::vector<uint32_t> indices;
    std::vector<Shape> shapes;
    std::vector<std::vector<int64_t>> values;
  };

  bool is_chosen(std::string_view id) override { return !id.empty() && id == chosen; }
  void skip(uint32_t rows, uint32_t captured) override {
    skipped_rows.fetch_add(rows);
    skipped_captures.fetch_add(captured);
  }
  void observe(const Observation& observation) override {
    Told& one = told.emplace_back();
    one.rows = observation.rows;
    one.is_sketched = observation.is_sketched;
    one.requests.assign(observation.requests.begin(), observation.requests.end());
    for (const ObservedRequest& request : observation.requests) one.ids.emplace_back(request.id);
    for (const ObservedTensor& tensor : observation.tensors) {
      one.indices.push_back(tensor.index);
      one.shapes.push_back(tensor.shape);
      REQUIRE(is_aligned(tensor.data, sizeof(int64_t)));
      const auto* values = reinterpret_cast<const int64_t*>(tensor.data.data());
      one.values.emplace_back(values, values + tensor.data.size() / sizeof(int64_t));
    }
    rows += observation.is_sketched ? observation.rows : 0;
  }

  std::string chosen;
  std::vector<Told> told;
  uint64_t rows = 0;
  std::atomic<uint64_t> skipped_rows{0};
  std::atomic<uint64_t> skipped_captures{0};
};

// An observation of one INT64 column.
struct Column {
  explicit Column(std::vector<int64_t> numbers) : values(std::move(numbers)) {
    tensor.shape = {static_cast<int64_t>(values.size()), 1};
    tensor.data = std::as_bytes(std::span(values));
    observation.rows = static_cast<uint32_t>(values.size());
    observation.tensors = {&tensor, 1};
  }
  Column(const Column&) = delete;

  std::vector<int64_t> values;
  ObservedTensor tensor;
  Observation observation;
};

// Nothing comes round by itself: tests sweep.
ObserverOptions by_hand() {
  ObserverOptions options;
  options.pause = 3600 * kSecond;
  return options;
}

// Returns when `thread` has set `is_over`, or has worked for so long that it must be waiting for
// something. By its own processor time, which a machine that is busy with others does not use up.
void wait_until_over_or_waiting(std::thread& thread, const std::atomic<bool>& is_over) {
  clockid_t clock;
  if (pthread_getcpuclockid(thread.native_handle(), &clock) != 0) return;
  timespec used = {};
  while (!is_over && clock_gettime(clock, &used) == 0 && used.tv_sec == 0 &&
         used.tv_nsec < 20 * kMillisecond) {
    std::this_thread::yield();
  }
}

testing::EngineOptions observed(ObserverOptions observer) {
  testing::EngineOptions options{.executors = 1, .inline_budget = 0};
  options.observer = observer;
  return options;
}

struct ObservedFixture {
  explicit ObservedFixture(ObserverOptions options = by_hand(), const Shape& shape = {kDynamic, 1})
      : listener(std::make_shared<Listener>()),
        engine(observed(options), EngineFixture::batching_config(), shape, listener) {}

  // Runs the requests as one batch.
  void run(const std::vector<Asked*>& requests) {
    engine.keep_executor_busy();
    for (Asked* request : requests) REQUIRE(engine.submit(request).ok());
    engine.port->flush();
    engine.session->open_gate();
    engine.answers.wait_for(engine.requests.size());
    engine.engine->observer().sweep();
  }

  std::shared_ptr<Listener> listener;
  EngineFixture engine;
};

TEST_CASE("an observation block gives back what was put in") {
  const std::vector<int64_t> numbers = {1, 2, 3};
  const std::string odd = "five!";
  const ObservedTensor tensors[] = {
      {.index = 0, .shape = {3, 1}, .data = std::as_bytes(std::span(numbers))},
      {.index = 2, .shape = {}, .data = as_bytes(odd)},
  };
  const ObservedRequest requests[] = {
      {.first_row = 0, .rows = 1, .is_captured = true, .arrival = 7, .id = "a"},
      {.first_row = 1, .rows = 2, .is_captured = false, .arrival = 8, .id = ""},
  };
  const Observation put{.started = 10,
                        .gathered = 11,
                        .computed = 12,
                        .rows = 3,
                        .is_sketched = false,
                        .requests = requests,
                        .tensors = tensors};
  ObservationBlock block;
  block.reserve(2 * ObservationBlock::record_bytes(put));
  block.append(5, put);
  block.append(6, put);
  CHECK_FALSE(block.has_room(1));

  ObservationReader reader;
  reader.open(block);
  uint32_t sink = 0;
  Observation got;
  for (const uint32_t expected : {5u, 6u}) {
    REQUIRE(reader.next(&sink, &got));
    CHECK(sink == expected);
    CHECK(got.started == 10);
    CHECK(got.gathered == 11);
    CHECK(got.computed == 12);
    CHECK(got.rows == 3);
    CHECK_FALSE(got.is_sketched);
    REQUIRE(got.requests.size() == 2);
    CHECK(got.requests[0].id == "a");
    CHECK(got.requests[0].is_captured);
    CHECK(got.requests[1].id.empty());
    CHECK(got.requests[1].first_row == 1);
    CHECK(got.requests[1].rows == 2);
    CHECK(got.requests[1].arrival == 8);
    REQUIRE(got.tensors.size() == 2);
    CHECK(got.tensors[0].shape == Shape{3, 1});
    CHECK(as_text(got.tensors[0].data) == as_text(std::as_bytes(std::span(numbers))));
    CHECK(got.tensors[1].index == 2);
    CHECK(got.tensors[1].shape.rank() == 0);
    CHECK(as_text(got.tensors[1].data) == odd);
  }
  CHECK_FALSE(reader.next(&sink, &got));
}

TEST_CASE("an observer tells in order, and each sink its own") {
  Observer observer(1, by_hand());
  auto first = std::make_shared<Listener>();
  auto second = std::make_shared<Listener>();
  const uint32_t first_number = observer.add(first);
  const uint32_t second_number = observer.add(second);
  CHECK(observer.tell(0, first_number, Column({1, 2}).observation));
  CHECK(observer.tell(0, second_number, Column({3}).observation));
  CHECK(observer.tell(0, first_number, Column({4}).observation));
  CHECK(first->told.empty());
  observer.sweep();
  REQUIRE(first->told.size() == 2);
  CHECK(first->told[0].values[0] == std::vector<int64_t>{1, 2});
  CHECK(first->told[1].values[0] == std::vector<int64_t>{4});
  REQUIRE(second->told.size() == 1);
}

TEST_CASE("an observer without a free block refuses, and works on after a sweep") {
  ObserverOptions options = by_hand();
  options.blocks = 2;
  options.block_bytes = 1024;
  Observer observer(1, options);
  auto listener = std::make_shared<Listener>();
  const uint32_t number = observer.add(listener);
  uint64_t told = 0;
  while (observer.tell(0, number, Column({1, 2, 3}).observation)) told += 3;
  CHECK(told > 10);
  observer.sweep();
  CHECK(listener->rows == told);
  CHECK(observer.tell(0, number, Column({1}).observation));
}

TEST_CASE("a removed sink has been told everything, and is told nothing more") {
  Observer observer(1, by_hand());
  auto listener = std::make_shared<Listener>();
  const uint32_t number = observer.add(listener);
  CHECK(observer.tell(0, number, Column({1}).observation));
  observer.remove(number);
  CHECK(listener->rows == 1);
  CHECK(listener.use_count() == 1);
}

TEST_CASE("a removed sink is told what lies in a block that another sink's rows are put into") {
  Observer observer(1, by_hand());
  auto leaving = std::make_shared<Listener>();
  auto staying = std::make_shared<Listener>();
  const uint32_t leaving_number = observer.add(leaving);
  const uint32_t staying_number = observer.add(staying);
  testing::GuardedPage page;
  std::thread writer([&] {
    CHECK(observer.tell(0, leaving_number, Column({1}).observation));
    Column held({2});
    held.tensor.data = page.first(sizeof(int64_t));
    CHECK(observer.tell(0, staying_number, held.observation));
  });
  page.wait_for_reader();
  std::atomic<bool> is_removed{false};
  std::thread remover([&] {
    observer.remove(leaving_number);
    is_removed = true;
  });
  wait_until_over_or_waiting(remover, is_removed);
  page.open();
  writer.join();
  remover.join();
  CHECK(leaving->rows == 1);
  observer.sweep();
  CHECK(staying->rows == 1);
}

TEST_CASE("an observer's end tells what is left") {
  auto listener = std::make_shared<Listener>();
  {
    Observer observer(1, by_hand());
    CHECK(observer.tell(0, observer.add(listener), Column({1, 2}).observation));
  }
  CHECK(listener->rows == 2);
}

TEST_CASE("large observations have a budget for each second") {
  ObserverOptions options = by_hand();
  options.large_bytes_per_second = 100;
  Observer observer(1, options);
  const Nanos now = 10 * kSecond;
  CHECK(observer.may_copy(60, now));
  CHECK(observer.may_copy(60, now + 1));
  CHECK_FALSE(observer.may_copy(60, now + kSecond / 2));
  CHECK(observer.may_copy(60, now + kSecond));
}

TEST_CASE("a batch's rows are told once, inputs and outputs, with the requests that have ids") {
  ObservedFixture fixture;
  Asked* first = fixture.engine.ask({1, 2});
  Asked* second = fixture.engine.ask({3});
  second->id = "second";
  fixture.run({first, second});
  REQUIRE(fixture.listener->told.size() == 1);
  const Listener::Told& told = fixture.listener->told[0];
  CHECK(told.rows == 3);
  CHECK(told.indices == std::vector<uint32_t>{0, 1});
  CHECK(told.values[0] == std::vector<int64_t>{1, 2, 3});
  CHECK(told.values[1] == std::vector<int64_t>{1, 2, 3});
  REQUIRE(told.ids == std::vector<std::string>{"second"});
  CHECK(told.requests[0].first_row == 2);
  CHECK(told.requests[0].rows == 1);
  CHECK(told.requests[0].arrival == second->arrival);
}

TEST_CASE("a failed run tells nothing") {
  ObservedFixture fixture;
  fixture.engine.session->fail_runs(true);
  REQUIRE(fixture.engine.submit(fixture.engine.ask({1})).ok());
  fixture.engine.port->flush();
  fixture.engine.answers.wait_for(1);
  fixture.engine.engine->observer().sweep();
  CHECK(fixture.listener->told.empty());
  CHECK(fixture.listener->skipped_rows == 0);
}

TEST_CASE(
    "of a batch too large for a block one request is told, its captured ones, and small outputs") {
  ObserverOptions options = by_hand();
  options.block_bytes = 512;
  // x is [N, 32]: a row has 256 bytes, in and out.
  ObservedFixture fixture(options, {kDynamic, 32});
  fixture.listener->chosen = "kept";
  auto ask = [&](int64_t value) {
    Asked* asked = fixture.engine.ask(std::vector<int64_t>(32, value));
    asked->rows = 1;
    asked->inputs[0].shape = {1, 32};
    return asked;
  };
  Asked* first = ask(1);
  Asked* second = ask(2);
  second->id = "kept";
  fixture.run({first, second});
  REQUIRE(fixture.listener->told.size() == 2);
  const Listener::Told& captured = fixture.listener->told[0];
  CHECK_FALSE(captured.is_sketched);
  CHECK(captured.rows == 1);
  CHECK(captured.ids == std::vector<std::string>{"kept"});
  CHECK(captured.requests[0].is_captured);
  CHECK(captured.values == std::vector<std::vector<int64_t>>{std::vector<int64_t>(32, 2),
                                                             std::vector<int64_t>(32, 2)});
  const Listener::Told& sampled = fixture.listener->told[1];
  CHECK(sampled.is_sketched);
  CHECK(sampled.values[0] == std::vector<int64_t>(32, 1));
  CHECK(sampled.requests.empty());
  // One row of the two was sampled.
  CHECK(fixture.listener->skipped_rows == 1);
  CHECK(fixture.listener->skipped_captures == 0);
}

TEST_CASE("captured requests without room are counted as skipped") {
  ObserverOptions options = by_hand();
  options.blocks = 0;
  ObservedFixture fixture(options);
  fixture.listener->chosen = "kept";
  Asked* asked = fixture.engine.ask({1, 2});
  asked->id = "kept";
  fixture.run({asked});
  CHECK(fixture.listener->told.empty());
  CHECK(fixture.listener->skipped_rows == 2);
  CHECK(fixture.listener->skipped_captures == 1);
}

TEST_SUITE("storm") {
  TEST_CASE("a block stack loses no number and gives none twice") {
    constexpr uint32_t kCount = 64;
    BlockStack stack(kCount);
    for (uint32_t number = 0; number < kCount; ++number) stack.push(number);
    std::vector<std::atomic<int>> holders(kCount);
    std::atomic<bool> is_shared{false};
    auto work = [&] {
      for (int i = 0; i < 20'000; ++i) {
        const uint32_t number = stack.pop();
        if (number == BlockStack::kNone) continue;
        if (holders[number].fetch_add(1, std::memory_order_relaxed) != 0) is_shared = true;
        holders[number].fetch_sub(1, std::memory_order_relaxed);
        stack.push(number);
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(is_shared);
    uint32_t left = 0;
    while (stack.pop() != BlockStack::kNone) ++left;
    CHECK(left == kCount);
  }

  TEST_CASE("every row is told or counted as skipped while writers and sweeps race") {
    ObserverOptions options;
    options.blocks = 8;
    options.block_bytes = 4096;
    options.pause = kMillisecond;
    constexpr size_t kWriters = 3;
    constexpr int kRounds = 5'000;
    Observer observer(kWriters, options);
    auto listener = std::make_shared<Listener>();
    const uint32_t number = observer.add(listener);
    std::vector<std::thread> writers;
    for (size_t writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        for (int round = 0; round < kRounds; ++round) {
          std::vector<int64_t> values(static_cast<size_t>(1 + round % 7));
          std::iota(values.begin(), values.end(), round);
          const Column column(std::move(values));
          if (!observer.tell(writer, number, column.observation)) {
            listener->skip(column.observation.rows, 0);
          }
        }
      });
    }
    for (int i = 0; i < 50; ++i) observer.sweep();
    for (std::thread& thread : writers) thread.join();
    observer.sweep();
    uint64_t offered = 0;
    for (int round = 0; round < kRounds; ++round) offered += static_cast<uint64_t>(1 + round % 7);
    CHECK(listener->rows + listener->skipped_rows == kWriters * offered);
    for (const Listener::Told& told : listener->told) {
      CHECK(told.values[0].size() == told.rows);
      for (size_t i = 0; i < told.rows; ++i) {
        CHECK(told.values[0][i] == told.values[0][0] + static_cast<int64_t>(i));
      }
    }
  }
}

}  // namespace
}  // namespace fastserve
