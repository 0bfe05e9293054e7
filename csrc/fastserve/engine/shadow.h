// A share of what a version serves, run again by a candidate and compared.
//
// The live side has answered already: what is offered here are the copies that the observer gives
// of batches that ran. The rows wait, bounded by bytes, for a thread that runs only when nothing
// else wants the processor (shadow_thread.h); while it does not get to run, new rows are dropped
// and counted. At any moment, in rows,
//
//     offered == compared + dropped + failed + waiting
//
// Which rows are offered is decided by block: the rows of a request with an id, all or none, by its
// id; those of a batch without one together, by a counter. The same ids and the same seed give the
// same choice.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/engine/observation.h"
#include "fastserve/engine/shadow_comparison.h"
#include "fastserve/engine/version.h"
#include "fastserve/runtime/session.h"
#include "fastserve/sketch/table_sketch.h"

namespace fastserve::engine {

class Engine;
class ShadowThread;

struct ShadowOptions {
  double share = 1;                // of the rows, 0 to 1
  size_t max_bytes = 64ull << 20;  // of the rows that wait and those that run
  uint64_t seed = 0;
  ShadowTolerance tolerance = {};
  // A run that takes longer is ended and counted as failed: it would hold up all other shadows.
  Nanos max_run = 30 * kSecond;
};

// Rows, all of one moment, since the start or the last reset.
struct ShadowCounts {
  uint64_t offered = 0;
  uint64_t compared = 0;
  uint64_t dropped = 0;
  uint64_t failed = 0;
  uint64_t waiting = 0;
  uint64_t waiting_bytes = 0;
  uint64_t differing = 0;  // of the compared: in any output
  uint64_t runs = 0;
  uint64_t failed_runs = 0;
  Nanos run_ns = 0;  // wall time of the runs that went well
};

struct ShadowReport {
  ShadowCounts counts;
  std::string first_error;
  std::vector<std::string> names;  // of the outputs, as the candidate has them
  std::vector<ShadowOutputTally> outputs;
  // Of each output two features: `output.absolute` and `output.relative`, each row's largest
  // difference.
  std::optional<sketch::TableSketch> differences;
};

// Where a live version's tensors are in the candidate's signature.
struct ShadowMapping {
  size_t live_inputs = 0;
  std::vector<size_t> inputs;   // by the candidate's input: the live one
  std::vector<size_t> outputs;  // by the live output: the candidate's
  bool is_divisible = false;    // rows may be taken from a batch
  bool has_rows_axis = false;
};

class Shadow {
 public:
  // Errors: kInvalidArgument for a share, a limit or a tolerance, with what is expected.
  static Result<std::shared_ptr<Shadow>> make(Engine& engine, VersionHandle candidate,
                                              const ShadowOptions& options);
  ~Shadow();
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  const ShadowOptions& options() const { return options_; }

  // How to offer what `live` serves. Errors: kFailedPrecondition with the first thing that differs:
  // the candidate must take all that the live version takes, by the same names and types.
  Result<ShadowMapping> map(const Version& live) const;
  // Thread: the observer's, one at a time; copies the chosen rows, waits for nobody.
  void offer(const ShadowMapping& mapping, const Observation& observation);
  ShadowReport report() const;
  // Until no rows wait, or the time is over: false. Thread: control plane.
  bool wait(Nanos timeout) const;
  // Starts counting anew; rows that wait go on waiting.
  void reset();
  // Ends the run under way, drops what waits and lets go of the candidate. The report stays.
  // Thread: control plane.
  void close();

 private:
  friend class ShadowThread;
  struct Tensor {
    size_t index = 0;  // in the candidate's inputs or outputs
    Shape shape;
    std::vector<std::byte> data;
  };
  struct Block {
    uint32_t first_row = 0;
    uint32_t rows = 0;
    std::string id;
  };
  struct Job {
    uint32_t rows = 0;
    size_t bytes = 0;
    std::vector<Block> blocks;
    std::vector<Tensor> inputs;  // one for each of the candidate's
    std::vector<Tensor> outputs;
  };
  struct Chosen;

  Shadow(std::shared_ptr<ShadowThread> thread, VersionHandle candidate, ShadowOptions options);
  void choose(const ShadowMapping& mapping, const Observation& observation, Chosen* chosen);
  bool is_chosen(std::string_view id, uint64_t counter) const;
  static size_t bytes_of(const Observation& observation);
  // Neither waits for the shadow thread, which may not get a core for a while: false then.
  bool has_room(size_t bytes);
  bool put(Job* job);
  // False when the rows are not in the tensors.
  bool copy(const ShadowMapping& mapping, const Observation& observation, Chosen* chosen,
            Job* job) const;

  // Thread: the shadow thread's.
  bool has_work() const { return has_work_.load(std::memory_order_relaxed); }
  // Runs and compares what waited longest.
  void run_next();
  void terminate() { runner_->terminate(); }
  Status run(const Job& job);
  void compare(const Job& job);
  void finish(const Job& job, const Status& status, Nanos took);
  void name_examples(const Job& job, ShadowOutputTally* tally) const;

  const std::shared_ptr<ShadowThread> thread_;
  VersionHandle candidate_;  // until close()
  const ShadowOptions options_;
  const runtime::Signature signature_;  // the candidate's
  std::shared_ptr<const sketch::TableSchema> schema_;
  std::unique_ptr<runtime::Runner> runner_;  // until close()

  mutable std::mutex mutex_;
  mutable std::condition_variable settled_;
  std::atomic<bool> is_closed_{false};
  std::deque<Job> jobs_;
  // Whether there are any. Written under mutex_; the shadow thread, which looks again and again,
  // reads it without, since an offer that finds the lock taken is dropped.
  std::atomic<bool> has_work_{false};
  ShadowReport total_;  // but for:
  std::atomic<uint64_t> rows_without_room_{0};

  uint64_t counter_ = 0;  // of blocks without an id; the observer's
  // Scratch of the shadow thread.
  std::vector<runtime::RunOutput> outputs_;
  ShadowComparison comparison_;
  std::vector<ShadowOutputTally> tallies_;
  std::vector<std::pair<size_t, std::vector<float>>> differences_;  // by feature
  uint64_t differing_ = 0;
};

}  // namespace fastserve::engine
