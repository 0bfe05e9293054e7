#include "fastserve/front/stream_call.h"

#include <string>
#include <utility>

#include "fastserve/front/infer_reply.h"

namespace fastserve::front {
namespace {

// Answers wait here, and not in the connection, while the peer has this much unread.
constexpr size_t kMaxQueuedBytes = 1 << 20;
// Messages without bytes cost no flow-control window, so their number is bounded too.
constexpr size_t kMaxUnanswered = 8192;

}  // namespace

StreamCall::StreamCall(grpc::Call* call, InferDesk* desk, TimerWheel* timers, int32_t token)
    : call_(call),
      desk_(desk),
      timers_(timers),
      deadline_timer_(
          [](Timer&, void* self, Nanos) {
            static_cast<StreamCall*>(self)->end({Code::kDeadlineExceeded, "Deadline Exceeded"});
          },
          this),
      token_(token),
      ends_on_error_(call->header("triton_grpc_error") == "true") {
  call_->hold_messages(true);
  timers_->arm(deadline_timer_, call_->deadline());
  if (CallBook* book = desk_->book(); book != nullptr) {
    trace_ = book->read_context(*call_);
  }
}

StreamCall::~StreamCall() {
  timers_->disarm(deadline_timer_);
  drop_asked(engine::Failure::kCancelled);
}

void StreamCall::drop_asked(engine::Failure why) {
  for (InferCall* infer : std::exchange(asked_, {})) {
    infer->stream = nullptr;
    infer->call = nullptr;
    desk_->end_record(
        infer, why == engine::Failure::kExpired ? Code::kDeadlineExceeded : Code::kCancelled);
    // One that runs comes back through the front, which finds nobody waiting.
    if (infer->phase == InferPhase::kAnswered || desk_->cancel(infer, why)) desk_->give_back(infer);
  }
}

void StreamCall::on_message(Buffer& message, Nanos now) {
  if (call_ == nullptr) return;
  if (asked_.size() >= kMaxUnanswered || desk_->is_crowded()) {
    end({Code::kResourceExhausted, "the stream has " + std::to_string(asked_.size()) +
                                       " unanswered requests; send more when answers have come"});
    return;
  }
  InferCall* infer = desk_->take();
  infer->stream = this;
  infer->is_streamed = true;
  infer->held_bytes = message.size();
  infer->call = call_;
  infer->deadline = call_->deadline();
  infer->message.swap(message);
  if (desk_->book() != nullptr) infer->record = begin_record();
  asked_.push_back(infer);
  infer->status = desk_->start(infer, now);
  if (infer->status.ok()) return;
  infer->phase = InferPhase::kAnswered;
  desk_->end_record(infer, infer->status.code());
  // It may wait long for the answers before it: the words stay, the tensors go.
  if (!ends_on_error_) infer->reply = encode_stream_error(infer->status, infer->id);
  infer->id = {};
  infer->message.shrink(0);
  infer->arena.shrink(0);
  send_ready();
}

CallRecord* StreamCall::begin_record() {
  CallRecord* record = desk_->book()->begin(trace_, CallMethod::kModelStreamInfer, call_->peer());
  if (record != nullptr) record->token = token_;
  return record;
}

void StreamCall::on_half_close() {
  is_half_closed_ = true;
  send_ready();
}

void StreamCall::on_answer(InferCall& infer) {
  infer.phase = InferPhase::kAnswered;
  send_ready();
}

void StreamCall::send_ready() {
  while (call_ != nullptr && !asked_.empty() && asked_.front()->phase == InferPhase::kAnswered &&
         call_->queued_bytes() < kMaxQueuedBytes) {
    InferCall* infer = asked_.front();
    asked_.pop_front();
    const size_t held = infer->held_bytes;
    const Status status = infer->status;
    if (!status.ok() && !ends_on_error_ && infer->reply.empty()) {
      infer->reply = encode_stream_error(status, infer->id);
    }
    desk_->end_record(infer, status.code());
    if (status.ok() || !ends_on_error_) {
      call_->send_message(std::move(infer->reply));
      infer->reply = call_->take_spare();
    }
    desk_->give_back(infer);
    call_->credit(held);
    if (!status.ok() && ends_on_error_) end(status);
  }
  if (call_ != nullptr && is_half_closed_ && asked_.empty()) end(ok_status());
}

void StreamCall::end(const Status& status) {
  if (call_ == nullptr) return;
  timers_->disarm(deadline_timer_);
  grpc::Call* call = std::exchange(call_, nullptr);
  drop_asked(status.code() == Code::kDeadlineExceeded ? engine::Failure::kExpired
                                                      : engine::Failure::kCancelled);
  call->finish(status);
}

}  // namespace fastserve::front
