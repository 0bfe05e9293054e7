// A port: how one thread submits requests to the engine.
//
// Requests gather in the port during a sweep of the owner's loop; flush() plans over all of them at
// once, runs batches that are short enough right here, and hands the rest to the executors under
// one lock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/engine/model_set.h"
#include "fastserve/engine/request.h"
#include "fastserve/engine/stats.h"
#include "fastserve/engine/version.h"

namespace fastserve::engine {

class Engine;

// Thread: the one that opened it, for everything.
class Port {
 public:
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // The current snapshot; the reference is good until the next call.
  const ModelSet& models();

  // Admits `request` (version, completion, inputs, rows, bytes, arrival and deadline are set). When
  // ok, its Completion is called exactly once, in flush() at the earliest. Otherwise it was
  // refused, was counted, and nothing will come: kResourceExhausted (queue full, or predicted to
  // miss its deadline; *retry_after is then the predicted wait), kDeadlineExceeded (already over).
  // A timeout that the client asks for may bring the deadline nearer.
  Status submit(Request* request, Nanos now, Nanos* retry_after);

  // Tells the control plane that a request waits for a version that is loaded on demand. It is
  // ready, or will not be, after a publish.
  void want(std::string_view model, std::string_view version);
  // Its thread's number among those that serve.
  size_t writer() const { return writer_; }
  // Changes when models() does.
  uint64_t generation() const { return generation_; }

  // The end of a sweep.
  void flush();

  // Takes a request back because its answer is no longer wanted (`why`: kCancelled or kExpired).
  // True: it was waiting, it is the caller's again and no completion will come. False: it runs, or
  // its completion is on the way; a run whose every member was cancelled is stopped.
  bool cancel(Request* request, Failure why);

  // Counts a request that failed before it was submitted.
  void count_failure(Version* version, Failure failure, Nanos spent);

 private:
  friend class Engine;
  Port(Engine* engine, Completion* completion, bool allow_inline, size_t writer,
       std::function<void()> on_publish);
  // Why a request was refused.
  struct Refusal {
    Failure failure = Failure::kInvalid;
    Nanos retry_after = 0;
    Status status;
  };
  static void apply_queue_rules(Request* request, Nanos now);
  // Within every bound on what may wait; *refusal says which one it is not.
  bool has_room(const Request& request, Refusal* refusal) const;
  // The predicted wait and run fit before its deadline.
  bool can_be_met(const Request& request, Nanos now, Refusal* refusal) const;
  bool may_run_inline(Version& version, Nanos* budget) const;
  // Moves to the bench's lane what runs next of the requests that gathered.
  void fill_lane(const Version& version, Workbench* bench);
  // Refuses or delays what of the lane has waited as long as its policy allows.
  void end_waits(Workbench* bench, StatsShard* stats, Nanos now);
  void run_inline(Version& version);

  Engine* const engine_;
  Completion* const completion_;
  const bool allow_inline_;
  const size_t writer_;
  const std::function<void()> on_publish_;
  std::shared_ptr<const ModelSet> models_;
  uint64_t generation_ = UINT64_MAX;
  std::vector<VersionHandle> touched_;  // versions with requests pending in this sweep
  // Scratch of fill_lane.
  std::vector<int64_t> key_;
  std::vector<int64_t> other_key_;
};

}  // namespace fastserve::engine
