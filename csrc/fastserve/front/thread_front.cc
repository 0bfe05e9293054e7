#include "fastserve/front/thread_front.h"

#include <array>
#include <charconv>
#include <utility>

#include "fastserve/front/stream_call.h"

namespace fastserve::front {
namespace {

constexpr std::string_view kModelInfer = "/inference.GRPCInferenceService/ModelInfer";
constexpr std::string_view kModelStreamInfer = "/inference.GRPCInferenceService/ModelStreamInfer";

void finish_refused(grpc::Call& call, const Status& status, Nanos retry_after) {
  if (status.code() != Code::kResourceExhausted) {
    call.finish(status);
    return;
  }
  // gRPC's retry design: how many milliseconds a client should wait before it tries again.
  std::array<char, 24> digits;
  const Nanos milliseconds = (retry_after + kMillisecond - 1) / kMillisecond;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                 milliseconds > 0 ? milliseconds : 1);
  const grpc::Metadatum pushback{
      "grpc-retry-pushback-ms",
      std::string_view(digits.data(), static_cast<size_t>(end.ptr - digits.data()))};
  call.finish(status, {&pushback, 1});
}

// A routed answer says which version gave it, and why that one.
void finish_answered(grpc::Call& call, const InferCall& infer) {
  if (infer.route.empty()) {
    call.finish(ok_status());
    return;
  }
  const std::array<grpc::Metadatum, 2> trailers = {
      grpc::Metadatum{"fastserve-version", infer.version->number_text(), /*is_known=*/true},
      grpc::Metadatum{"fastserve-route", infer.route, /*is_known=*/true}};
  call.finish(ok_status(), trailers);
}

CallRecord* begin_record(CallBook* book, const grpc::Call& call, CallMethod method, int32_t token) {
  // Whoever was not let in fills no collector.
  CallRecord* record = book->begin(book->read_context(call), method, call.peer(),
                                   /*may_trace=*/token != kRefusedToken);
  if (record != nullptr) record->token = token;
  return record;
}

}  // namespace

ThreadFront::ThreadFront(engine::Engine* engine, Bridge* bridge, const FrontOptions& options,
                         int index, std::function<void()> wake)
    : options_(options),
      tokens_(options.tokens),
      timers_(monotonic_now()),
      desk_(
          engine, options_.call_log, [this](InferCall& infer) { on_answer(infer); }, wake),
      bridge_(bridge, index, &timers_, wake) {}

ThreadFront::~ThreadFront() = default;

void ThreadFront::on_call(grpc::Call& call) {
  call.user_tag = kNothing;
  const int32_t token = tokens_.asks() ? tokens_.find(call.header("authorization")) : kNoToken;
  if (token == kRefusedToken) {
    refuse(call, token,
           {Code::kUnauthenticated,
            "a valid token is required: send metadata 'authorization: Bearer <token>'"});
    return;
  }
  if (is_draining_) {
    refuse(call, token, {Code::kUnavailable, "Server is stopping; connect to another replica"});
    return;
  }
  const bool is_unary = call.path() == kModelInfer;
  const bool is_stream = call.path() == kModelStreamInfer;
  if ((is_unary || is_stream) && desk_.is_crowded()) {
    refuse(call, token, {Code::kResourceExhausted, "too many calls are open; retry later"});
  } else if (is_unary) {
    InferCall* infer = desk_.take();
    infer->call = &call;
    infer->deadline = call.deadline();
    if (desk_.book() != nullptr) {
      infer->record = begin_record(desk_.book(), call, CallMethod::kModelInfer, token);
    }
    call.user = infer;
    call.user_tag = kInfer;
    infer->deadline_timer.set(
        [](Timer& timer, void* self, Nanos) {
          static_cast<ThreadFront*>(self)->expire(InferCall::of(timer));
        },
        this);
    timers_.arm(infer->deadline_timer, infer->deadline);
  } else if (is_stream) {
    call.user = new StreamCall(&call, &desk_, &timers_, token);
    call.user_tag = kStream;
  } else {
    call.user_tag = kBridge;
    bridge_.on_call(call);
  }
}

void ThreadFront::refuse(grpc::Call& call, int32_t token, const Status& status) {
  if (CallBook* book = desk_.book(); book != nullptr) {
    CallMethod method = CallMethod::kOther;
    if (call.path() == kModelInfer) method = CallMethod::kModelInfer;
    if (call.path() == kModelStreamInfer) method = CallMethod::kModelStreamInfer;
    if (CallRecord* record = begin_record(book, call, method, token); record != nullptr) {
      if (method == CallMethod::kOther) record->path.assign(call.path());
      record->code = status.code();
      book->leave(record);
    }
  }
  finish_refused(call, status, 0);
}

void ThreadFront::on_message(grpc::Call& call, Buffer& message) {
  switch (call.user_tag) {
    case kInfer: {
      auto& infer = *static_cast<InferCall*>(call.user);
      if (infer.phase == InferPhase::kReceiving && !infer.has_message) {
        infer.message.swap(message);
        infer.has_message = true;
        infer.held_bytes = infer.message.size();
        received_bytes_ += infer.held_bytes;
        if (received_bytes_ <= kMaxReceivedBytes || received_bytes_ == infer.held_bytes) return;
        answer(infer, {Code::kResourceExhausted,
                       "too many bytes of requests whose end has not come; half-close each call "
                       "after its message"});
        return;
      }
      // A submitted request cannot see a second message: it was submitted at the half-close.
      answer(infer, {Code::kUnimplemented,
                     "ModelInfer takes one request message and got a second one; use "
                     "ModelStreamInfer to send many"});
      return;
    }
    case kStream:
      static_cast<StreamCall*>(call.user)->on_message(message, monotonic_now());
      return;
    case kBridge:
      bridge_.on_message(call, message);
      return;
    default:
      return;
  }
}

void ThreadFront::on_half_close(grpc::Call& call) {
  switch (call.user_tag) {
    case kInfer:
      start_infer(*static_cast<InferCall*>(call.user));
      return;
    case kStream:
      static_cast<StreamCall*>(call.user)->on_half_close();
      return;
    case kBridge:
      bridge_.on_half_close(call);
      return;
    default:
      return;
  }
}

void ThreadFront::start_infer(InferCall& infer) {
  if (!infer.has_message) {
    answer(infer, {Code::kUnimplemented, "ModelInfer takes one request message and got none"});
    return;
  }
  forget_received(infer);
  const Nanos deadline = infer.deadline;
  const Status status = desk_.start(&infer, monotonic_now());
  if (!status.ok()) {
    answer(infer, status);
    return;
  }
  // The request's own `timeout` may be nearer than the call's.
  if (infer.deadline < deadline) timers_.arm(infer.deadline_timer, infer.deadline);
}

void ThreadFront::forget_received(InferCall& infer) {
  received_bytes_ -= std::exchange(infer.held_bytes, 0);
}

void ThreadFront::on_writable(grpc::Call& call) {
  if (call.user_tag == kStream) {
    static_cast<StreamCall*>(call.user)->on_writable();
  } else if (call.user_tag == kBridge) {
    bridge_.on_writable(call);
  }
}

void ThreadFront::on_closed(grpc::Call& call, bool cancelled) {
  const uint32_t tag = std::exchange(call.user_tag, kNothing);
  if (tag == kBridge) {
    bridge_.on_closed(call, cancelled);
  } else if (tag == kStream) {
    delete static_cast<StreamCall*>(call.user);
  } else if (tag == kInfer) {
    auto& infer = *static_cast<InferCall*>(call.user);
    timers_.disarm(infer.deadline_timer);
    forget_received(infer);
    infer.call = nullptr;
    desk_.end_record(&infer, Code::kCancelled);
    // One that runs comes back through on_answer, which finds nobody waiting.
    if (infer.phase == InferPhase::kReceiving ||
        desk_.cancel(&infer, engine::Failure::kCancelled)) {
      desk_.give_back(&infer);
    }
  }
}

void ThreadFront::answer(InferCall& infer, const Status& status) {
  timers_.disarm(infer.deadline_timer);
  desk_.end_record(&infer, status.code());
  // Of a streamed call the bytes are the stream's to credit.
  if (!infer.is_streamed) forget_received(infer);
  if (infer.call != nullptr) {
    grpc::Call& call = *infer.call;
    call.user_tag = kNothing;
    if (status.ok()) {
      call.send_message(std::move(infer.reply));
      infer.reply = call.take_spare();
      finish_answered(call, infer);
    } else {
      finish_refused(call, status, infer.retry_after);
    }
  }
  desk_.give_back(&infer);
}

void ThreadFront::on_answer(InferCall& infer) {
  if (infer.stream != nullptr) {
    infer.stream->on_answer(infer);
    return;
  }
  const Status status = infer.status;
  answer(infer, status);
}

void ThreadFront::expire(InferCall& infer) {
  if (infer.call == nullptr) return;
  forget_received(infer);
  desk_.end_record(&infer, Code::kDeadlineExceeded);
  const bool is_back =
      infer.phase == InferPhase::kReceiving || desk_.cancel(&infer, engine::Failure::kExpired);
  grpc::Call& call = *std::exchange(infer.call, nullptr);
  call.user_tag = kNothing;
  if (is_back) desk_.give_back(&infer);
  call.finish({Code::kDeadlineExceeded, "Deadline Exceeded"});
}

void ThreadFront::run_inbox(Nanos now) {
  desk_.run_inbox();
  bridge_.run_inbox(now);
}

void ThreadFront::end_sweep(Nanos now) {
  timers_.advance(now);
  desk_.flush();
}

LoopFrontFactory thread_front_factory(engine::Engine* engine, Bridge* bridge,
                                      FrontOptions options) {
  return [engine, bridge, options = std::move(options)](int index, std::function<void()> wake) {
    auto front = std::make_unique<ThreadFront>(engine, bridge, options, index, std::move(wake));
    // The engine has a port for so many threads only.
    if (!front->is_open()) front.reset();
    return front;
  };
}

}  // namespace fastserve::front
