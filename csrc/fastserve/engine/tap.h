// Where a serving thread tells the observer of the batches of one version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastserve/engine/observation.h"
#include "fastserve/engine/observer.h"

namespace fastserve::engine {

struct RunningBatch;
struct Timing;
struct Workbench;

// Thread: the writer's.
class Tap {
 public:
  Tap(Observer* observer, uint32_t sink_number, ObservationSink* sink, size_t writer)
      : observer_(observer), sink_number_(sink_number), sink_(sink), writer_(writer) {}

  // Of a batch that ran well, before its answers are given: its requests' inputs are still there.
  void tell(const Workbench& bench, const RunningBatch& batch, const Timing& timing);

 private:
  void list_requests(const RunningBatch& batch);
  // In parts: small outputs whole, one request's rows, and each captured request.
  void tell_large(const Workbench& bench, const RunningBatch& batch, bool has_small_outputs,
                  Observation observation);
  // False when there was no room.
  bool tell_member(const Workbench& bench, const RunningBatch& batch, size_t member,
                   Observation observation);
  void list_outputs(const Workbench& bench);

  Observer* const observer_;
  const uint32_t sink_number_;
  ObservationSink* const sink_;
  const size_t writer_;
  uint32_t turn_ = 0;  // which member of a large batch is told
  uint32_t captured_ = 0;
  std::vector<ObservedRequest> requests_;
  std::vector<size_t> members_;  // of requests_: their places in the batch
  std::vector<ObservedTensor> tensors_;
};

}  // namespace fastserve::engine
