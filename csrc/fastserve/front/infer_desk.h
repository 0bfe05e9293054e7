// Where one thread's inferences are handed in and their answers come back: a pool of calls, the
// decoder's scratch, a port of the engine, and an inbox for answers that executors finished.
#pragma once

#include <pthread.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/engine/engine.h"
#include "fastserve/engine/port.h"
#include "fastserve/front/call_log.h"
#include "fastserve/front/infer_call.h"
#include "fastserve/wire/infer_request.h"

namespace fastserve::front {

// Thread: its owner's, but for `wake`, which is called from executors.
class InferDesk final : public engine::Completion {
 public:
  // `on_answer` gets each submitted call back once, on the owner's thread, inside flush() or
  // run_inbox(): infer.status says how it went, infer.reply holds the framed answer if well. The
  // receiver then owns the call and gives it back.
  // `log` may be null: nothing is recorded then.
  InferDesk(engine::Engine* engine, CallLog* log, std::function<void(InferCall&)> on_answer,
            std::function<void()> wake);
  ~InferDesk() override;
  InferDesk(const InferDesk&) = delete;
  InferDesk& operator=(const InferDesk&) = delete;

  // Cancels what waits and sees running batches out: after it no executor touches a call or calls
  // `wake`. Nothing may be started any more. The destructor does it too.
  void close();
  // False when the engine had no port left for this thread, and after close().
  bool is_open() const { return port_ != nullptr; }

  // Calls that the engine has.
  size_t outstanding() const { return outstanding_; }

  // So many calls are in use that no more should be begun.
  bool is_crowded() const { return in_use_ >= kMaxCalls; }
  InferCall* take();
  // Its record, where it has one, is complete then: as end_record said, else as cancelled.
  void give_back(InferCall* infer);

  // Where calls that are sampled are recorded; null when none is.
  CallBook* book() const { return book_.get(); }
  // How the call ended for its caller; what is said first stays. `infer` still has its message, and
  // its reply unless that was sent.
  void end_record(InferCall* infer, Code code) {
    if (infer->record != nullptr) fill_record(infer, code);
  }

  // Decodes and submits; a request for a version that is loaded on demand waits here until it can
  // be. Not ok: refused, counted, and still the caller's.
  Status start(InferCall* infer, Nanos now);
  // Takes a submitted call back; see engine::Port::cancel.
  bool cancel(InferCall* infer, engine::Failure why);
  // The end of a sweep: small batches run here and now, the rest goes to the executors.
  void flush();
  // Answers that executors finished. Thread: owner, soon after `wake`.
  void run_inbox();

  void complete(engine::Request& request, const Status& status, std::span<const TensorView> outputs,
                const engine::Timing& timing) override;
  void flush_completions(size_t count) override;

 private:
  Status admit(InferCall* infer, Nanos now);
  static void fill_record(InferCall* infer, Code code);
  Status park(InferCall* infer);
  void unpark(InferCall* infer);
  // Tries what waits for a version again, if what is served has changed.
  void retry_parked();

  const std::function<void(InferCall&)> on_answer_;
  const std::function<void()> wake_;
  const std::shared_ptr<CallBook> book_;
  std::unique_ptr<engine::Port> port_;
  wire::InferRequestView scratch_;
  std::vector<std::unique_ptr<InferCall>> calls_;  // every call ever made; reused through free_
  InferCall* free_ = nullptr;
  size_t outstanding_ = 0;
  // About 60 MB of bookkeeping for one thread.
  static constexpr size_t kMaxCalls = 64 * 1024;
  size_t in_use_ = 0;
  // Requests for versions that are being loaded, in the order of their arrival.
  static constexpr size_t kMaxParked = 8192;
  static constexpr size_t kMaxParkedBytes = 64 << 20;
  std::deque<InferCall*> parked_;
  size_t parked_bytes_ = 0;
  uint64_t parked_generation_ = 0;          // of the models that they were last tried with
  std::atomic<InferCall*> inbox_{nullptr};  // a stack; reversed when read
  // Answers that executors gave and did not flush yet; such an executor still touches this object.
  std::atomic<size_t> unflushed_{0};
  // Written by the owner before anything is submitted; answers of this very thread skip the inbox.
  std::atomic<pthread_t> owner_{};

  bool is_owner() const {
    return pthread_equal(owner_.load(std::memory_order_relaxed), pthread_self()) != 0;
  }
};

}  // namespace fastserve::front
