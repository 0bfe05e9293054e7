// What one thread needs to run one version: the requests of its current sweep, a runner, and
// scratch that keeps its capacity, so that a batch in steady state allocates nothing here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/batch/gather.h"
#include "fastserve/batch/lane.h"
#include "fastserve/batch/plan.h"
#include "fastserve/engine/request.h"
#include "fastserve/engine/tap.h"
#include "fastserve/engine/version.h"
#include "fastserve/runtime/session.h"
#include "fastserve/tensor/tensor_view.h"

namespace fastserve::engine {

// A batch between its taking and its last answer.
struct RunningBatch {
  std::vector<Request*> members;
  uint32_t rows = 0;
  batch::Reason reason = batch::Reason::kIdle;
  runtime::Runner* runner = nullptr;  // while it runs; for terminate()
  uint32_t live = 0;                  // members not cancelled; under the scheduler's lock
};

struct Workbench {
  // Admitted in this sweep and not flushed yet (ports only).
  std::vector<Request*> pending;
  uint64_t pending_rows = 0;
  uint64_t pending_bytes = 0;
  std::vector<uint64_t> pending_at_level;  // requests; sized for versions with queue rules
  // Of a batch that runs on the port's own thread.
  batch::Lane lane;
  RunningBatch batch;

  std::unique_ptr<runtime::Runner> runner;
  std::vector<Buffer> gathered;  // one per input
  std::vector<ByteSpan> pieces;
  std::vector<runtime::RunInput> inputs;
  std::unique_ptr<bool[]> wanted;           // one per output
  std::vector<runtime::RunOutput> outputs;  // one per output
  std::vector<batch::Scatter> scatters;     // one per output
  std::vector<TensorView> reply;
  std::optional<Tap> tap;  // where the version's batches are observed

  // Lazily makes the runner and sizes the scratch.
  runtime::Runner& prepare(Version& version);

  // Gathers and runs `batch`; then `computed` and `gathered` times are in *timing. The outputs stay
  // in this bench until its next run.
  Status run(Version& version, const RunningBatch& batch, Timing* timing);

  // After a run of several members failed: runs and answers each alone, so that one request's
  // values fail nobody else.
  void run_apart(Version& version, const RunningBatch& batch, const Timing& timing,
                 StatsShard* stats);

  // Completes every member with its rows of the outputs, or with `status`; counts; flushes each
  // completion once. A failed run of several goes to run_apart() instead. A member that was
  // abandoned is counted as its failure.
  void answer(Version& version, const RunningBatch& batch, const Status& status,
              const Timing& timing, StatsShard* stats);

 private:
  std::span<const TensorView> cut(const Version& version, const Request& request, int64_t first_row,
                                  bool whole);
};

}  // namespace fastserve::engine
