// Sampled requests on their way to the control plane, which writes them to Parquet files.
//
// Bounded by bytes: when there is no room the newest request is dropped and counted, and what is
// there already stays whole. At any moment
//
//     offered == dropped + taken + waiting
//
// The observer thread puts, a thread of the control plane takes. Neither is on the way of a
// request: put() copies, may allocate, and never waits for the one who takes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"
#include "fastserve/tensor/tensor_view.h"

namespace fastserve::engine {

// One request within a batch. Everything is borrowed until put() returns.
struct CaptureView {
  std::string_view model;
  uint64_t version = 0;
  std::string_view id;
  std::string_view route;
  int64_t time_ns = 0;  // wall clock of the arrival, since 1970
  Nanos queue_ns = 0;
  Nanos compute_ns = 0;
  Nanos total_ns = 0;
  // The batch's tensors, with all of its rows, and which of those are the request's. rows == 0: the
  // tensors have no axis of rows, the request was alone in its run and owns all of them.
  int64_t first_row = 0;
  int64_t rows = 0;
  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;
};

struct CapturedTensor {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;  // of the request's own rows
  std::vector<std::byte> data;
};

struct CapturedRequest {
  std::string model;
  uint64_t version = 0;
  std::string id;
  std::string route;
  int64_t time_ns = 0;
  Nanos queue_ns = 0;
  Nanos compute_ns = 0;
  Nanos total_ns = 0;
  int64_t rows = 0;
  std::vector<CapturedTensor> inputs;
  std::vector<CapturedTensor> outputs;

  // What it holds in memory, near enough to bound it.
  size_t size_bytes() const;
};

struct CaptureQueueStats {
  uint64_t offered = 0;
  uint64_t dropped = 0;
  uint64_t taken = 0;
  uint64_t waiting = 0;
  size_t waiting_bytes = 0;
};

class CaptureQueue {
 public:
  explicit CaptureQueue(size_t max_bytes) : max_bytes_(max_bytes) {}

  size_t max_bytes() const { return max_bytes_; }
  // Copies the request's rows. False, and counted as dropped, when there is no room, after close(),
  // or when the rows are not in the tensors. Thread: any.
  bool put(const CaptureView& view);
  // Counts sampled requests that were lost before they could be put. Thread: any.
  void count_dropped(uint64_t requests);
  // The oldest requests, as many as fit into `max_bytes`, but one at least. Thread: any.
  std::vector<CapturedRequest> take(size_t max_bytes);
  // Until so many bytes wait, or wake() or close() is called, or the time is over. Thread: one.
  void wait(size_t min_bytes, Nanos timeout);
  // Ends a wait(), or the next one where none is under way.
  void wake();
  // What comes later is dropped; what waits can still be taken.
  void close();
  // All of one moment.
  CaptureQueueStats stats() const;

 private:
  // Room for a request that is being copied. False, and counted as dropped, where there is none.
  bool reserve(size_t bytes);

  const size_t max_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<CapturedRequest> requests_;
  CaptureQueueStats stats_;
  size_t reserved_bytes_ = 0;
  // Of the wait under way; nobody is woken for less.
  size_t wanted_bytes_ = SIZE_MAX;
  bool is_woken_ = false;
  bool is_closed_ = false;
};

// The bytes of rows [first, first + rows) of a tensor; false when it does not have them.
bool rows_of(const TensorView& tensor, int64_t first, int64_t rows, ByteSpan* data);

}  // namespace fastserve::engine
