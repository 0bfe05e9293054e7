// Captured requests between the observer thread and the control plane.
#include "fastserve/engine/capture_queue.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "fastserve/engine/capture_sample.h"

using namespace fastserve;
using namespace fastserve::engine;

namespace {

constexpr size_t kRoomy = 1 << 20;

std::string strings(const std::vector<std::string>& values) {
  std::string raw;
  for (const std::string& value : values) {
    const auto length = static_cast<uint32_t>(value.size());
    raw.append(reinterpret_cast<const char*>(&length), sizeof(length));
    raw.append(value);
  }
  return raw;
}

TensorView tensor(std::string_view name, DType dtype, const Shape& shape, std::string_view raw) {
  return {name, dtype, shape, as_bytes(raw)};
}

// A request of `rows` bytes out of a batch of 8.
struct Sample {
  explicit Sample(int64_t first = 0, int64_t rows = 1, std::string id = "one")
      : id(std::move(id)),
        tensors{tensor("x", DType::kUint8, {8}, "abcdefgh")},
        view{.model = "digits",
             .version = 3,
             .id = this->id,
             .route = "stable",
             .first_row = first,
             .rows = rows,
             .inputs = tensors,
             .outputs = {}} {}
  std::string id;
  std::vector<TensorView> tensors;
  CaptureView view;
};

std::string text_of(const CapturedTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()};
}

void require_law(const CaptureQueue& queue) {
  const CaptureQueueStats stats = queue.stats();
  REQUIRE(stats.offered == stats.dropped + stats.taken + stats.waiting);
}

}  // namespace

TEST_CASE("capture queue hands over a request's own rows of the batch") {
  CaptureQueue queue(kRoomy);
  CHECK(queue.put(Sample(2, 3).view));
  const std::vector<CapturedRequest> taken = queue.take(kRoomy);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].model == "digits");
  CHECK(taken[0].version == 3);
  CHECK(taken[0].id == "one");
  CHECK(taken[0].route == "stable");
  CHECK(taken[0].rows == 3);
  CHECK(taken[0].inputs[0].shape == Shape{3});
  CHECK(text_of(taken[0].inputs[0]) == "cde");
}

TEST_CASE("capture queue cuts rows out of strings by their lengths") {
  const std::string raw = strings({"a", "", "ccc", "dd", "e", "f"});
  const TensorView words = tensor("words", DType::kBytes, {3, 2}, raw);
  ByteSpan data;
  REQUIRE(rows_of(words, 1, 1, &data));
  CHECK(as_text(data) == strings({"ccc", "dd"}));
  REQUIRE(rows_of(words, 2, 1, &data));
  CHECK(as_text(data) == strings({"e", "f"}));
}

TEST_CASE("capture queue refuses rows that a tensor does not have") {
  ByteSpan data;
  const std::string raw = strings({"a", "b"});
  CHECK_FALSE(rows_of(tensor("x", DType::kUint8, {}, "a"), 0, 1, &data));
  CHECK_FALSE(rows_of(tensor("x", DType::kUint8, {2}, "ab"), 1, 2, &data));
  CHECK_FALSE(rows_of(tensor("x", DType::kUint8, {2}, "ab"), -1, 1, &data));
  CHECK_FALSE(rows_of(tensor("x", DType::kUint8, {2}, "abc"), 0, 1, &data));
  CHECK_FALSE(rows_of(tensor("x", DType::kInvalid, {2}, "ab"), 0, 1, &data));
  CHECK_FALSE(rows_of(tensor("x", DType::kBytes, {3}, raw), 2, 1, &data));
  CHECK_FALSE(rows_of(tensor("x", DType::kBytes, {1}, raw.substr(0, 4)), 0, 1, &data));
  CHECK_FALSE(rows_of(tensor("x", DType::kFp32, {INT64_MAX / 2, 3}, "ab"), 0, 1, &data));
  CaptureQueue queue(kRoomy);
  CHECK_FALSE(queue.put(Sample(7, 2).view));
  CHECK(queue.stats().dropped == 1);
  require_law(queue);
}

TEST_CASE("capture queue takes whole tensors where there is no axis of rows") {
  CaptureQueue queue(kRoomy);
  Sample sample(0, 0);
  sample.tensors[0] = tensor("x", DType::kUint8, {}, "a");
  CHECK(queue.put(sample.view));
  const auto taken = queue.take(kRoomy);
  CHECK(taken[0].rows == 0);
  CHECK(text_of(taken[0].inputs[0]) == "a");
}

TEST_CASE("capture queue drops the newest when its bytes are taken, and keeps what it has") {
  CaptureQueue probe(kRoomy);
  probe.put(Sample().view);
  const size_t each = probe.stats().waiting_bytes;
  CHECK(each == probe.take(kRoomy)[0].size_bytes());
  CaptureQueue queue(2 * each);
  CHECK(queue.put(Sample(0, 1, "one").view));
  CHECK(queue.put(Sample(0, 1, "two").view));
  CHECK_FALSE(queue.put(Sample(0, 1, "six").view));
  CHECK(queue.stats().waiting_bytes == 2 * each);
  const auto taken = queue.take(kRoomy);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].id == "one");
  CHECK(taken[1].id == "two");
  CHECK(queue.put(Sample(0, 1, "six").view));
  CHECK(queue.stats().dropped == 1);
  require_law(queue);
}

TEST_CASE("capture queue never takes a request that is larger than all of it") {
  CaptureQueue queue(8);
  CHECK_FALSE(queue.put(Sample().view));
  CHECK(queue.stats().dropped == 1);
  CHECK(queue.take(kRoomy).empty());
}

TEST_CASE("capture queue gives at least one request, and otherwise keeps to the bytes asked for") {
  CaptureQueue queue(kRoomy);
  for (int i = 0; i < 4; ++i) queue.put(Sample().view);
  CHECK(queue.take(1).size() == 1);
  CHECK(queue.take(2 * (queue.stats().waiting_bytes / 3)).size() == 2);
  CHECK(queue.take(kRoomy).size() == 1);
  require_law(queue);
}

TEST_CASE("capture queue counts what was lost before it") {
  CaptureQueue queue(kRoomy);
  queue.count_dropped(5);
  CHECK(queue.stats().offered == 5);
  CHECK(queue.stats().dropped == 5);
}

TEST_CASE("closed capture queue drops what comes and gives what it has") {
  CaptureQueue queue(kRoomy);
  queue.put(Sample().view);
  queue.close();
  CHECK_FALSE(queue.put(Sample().view));
  queue.wait(kRoomy, kNever / 4);  // returns at once
  CHECK(queue.take(kRoomy).size() == 1);
  require_law(queue);
}

TEST_CASE("capture sample is all, nothing, or near the share") {
  CHECK_FALSE(is_captured(0, "id", 1, 1));
  CHECK_FALSE(is_captured(-1, "id", 1, 1));
  CHECK_FALSE(is_captured(std::nan(""), "id", 1, 1));
  CHECK(is_captured(1, "id", 1, 1));
  CHECK(is_captured(2, "", 1, 1));
  for (const double share : {0.01, 0.1, 0.5, 0.9}) {
    constexpr int kRequests = 100'000;
    int by_id = 0;
    int by_counter = 0;
    for (int i = 0; i < kRequests; ++i) {
      by_id += is_captured(share, "request-" + std::to_string(i), 1, 0);
      by_counter += is_captured(share, "", 7, static_cast<uint64_t>(i));
    }
    // Five standard deviations of a binomial.
    const double bound = 5 * std::sqrt(kRequests * share * (1 - share));
    CHECK(std::abs(by_id - kRequests * share) < bound);
    CHECK(std::abs(by_counter - kRequests * share) < bound);
  }
}

TEST_CASE("capture sample of an id depends on nothing else and grows with the share") {
  for (int i = 0; i < 1000; ++i) {
    const std::string id = std::to_string(i);
    CHECK(is_captured(0.3, id, 1, 2) == is_captured(0.3, id, 3, 4));
    if (is_captured(0.3, id, 0, 0)) CHECK(is_captured(0.31, id, 0, 0));
  }
}

TEST_CASE("capture sample of an id is the same in every build") {
  // Labels are matched by it over restarts, machines and releases.
  std::string chosen;
  for (int i = 0; i < 16; ++i) {
    chosen += is_captured(0.5, "order-" + std::to_string(i), 0, 0) ? '1' : '0';
  }
  CHECK(chosen == "0000010100111000");
}

TEST_CASE("capture sample without ids is another one for another seed") {
  int different = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    different += is_captured(0.5, "", 1, i) != is_captured(0.5, "", 2, i);
  }
  CHECK(different > 400);
  CHECK(different < 600);
}

TEST_SUITE("storm") {
  TEST_CASE("capture queue loses no request between several that put and one that takes") {
    constexpr int kThreads = 3;
    constexpr int kEach = 4000;
    CaptureQueue queue(16 << 10);
    std::atomic<uint64_t> accepted{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          accepted += queue.put(Sample(i % 8, 1 + i % (8 - i % 8), std::to_string(t)).view);
          if (i % 100 == 0) queue.count_dropped(1);
        }
      });
    }
    std::atomic<bool> is_over{false};
    uint64_t taken = 0;
    std::thread taker([&] {
      while (!is_over) {
        queue.wait(4 << 10, 10 * kMillisecond);
        const auto some = queue.take(2 << 10);
        for (const CapturedRequest& request : some) {
          if (static_cast<int64_t>(request.inputs[0].data.size()) == request.rows) ++taken;
        }
        require_law(queue);
      }
    });
    for (std::thread& thread : threads) thread.join();
    is_over = true;
    queue.wake();
    taker.join();
    queue.close();
    taken += queue.take(SIZE_MAX).size();
    const CaptureQueueStats stats = queue.stats();
    CHECK(stats.offered == kThreads * (kEach + kEach / 100));
    CHECK(stats.offered == stats.dropped + stats.taken);
    CHECK(stats.taken == accepted);
    CHECK(taken == accepted);
    CHECK(stats.waiting == 0);
    CHECK(stats.waiting_bytes == 0);
  }
}
