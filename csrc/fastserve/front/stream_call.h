// ModelStreamInfer: many inferences on one call, answered in the order they were asked, as Triton
// does for models that give one answer per request.
//
// A failed inference is an answer with error_message and leaves the stream open, unless the caller
// sent the metadata `triton_grpc_error: true`: then it ends the stream with the real status.
// What a stream may hold is bounded by its flow-control window: a message is credited back to the
// peer only when its answer was queued, and answers are queued only while the peer reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "fastserve/base/buffer.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/front/call_record.h"
#include "fastserve/front/infer_call.h"
#include "fastserve/front/infer_desk.h"
#include "fastserve/front/trace_context.h"
#include "fastserve/grpc/call.h"

namespace fastserve::front {

// Thread: its front's.
class StreamCall {
 public:
  // `token`: which one the caller sent, for the records of its inferences.
  StreamCall(grpc::Call* call, InferDesk* desk, TimerWheel* timers, int32_t token);
  // The call is gone or finished: what is still asked is cancelled.
  ~StreamCall();
  StreamCall(const StreamCall&) = delete;
  StreamCall& operator=(const StreamCall&) = delete;

  const grpc::Call* call() const { return call_; }
  void on_message(Buffer& message, Nanos now);
  void on_half_close();
  void on_writable() { send_ready(); }
  // `infer` of this stream was answered by the engine.
  void on_answer(InferCall& infer);

 private:
  void send_ready();
  void end(const Status& status);
  void drop_asked(engine::Failure why);
  CallRecord* begin_record();

  grpc::Call* call_;  // null once finished
  InferDesk* const desk_;
  TimerWheel* const timers_;
  Timer deadline_timer_;
  std::deque<InferCall*> asked_;  // oldest first
  TraceContext trace_;            // of the whole stream
  const int32_t token_;
  const bool ends_on_error_;
  bool is_half_closed_ = false;
};

}  // namespace fastserve::front
