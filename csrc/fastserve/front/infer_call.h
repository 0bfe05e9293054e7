// One inference between its bytes and its answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/status.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/engine/request.h"
#include "fastserve/front/call_record.h"
#include "fastserve/grpc/call.h"

namespace fastserve::front {

class StreamCall;

// How far a call has come. Only the io thread moves it.
//   kFree -> kReceiving (call began) -> kSubmitted (the engine has it) -> kFree (answered)
//   kReceiving -> kFree (refused, or gone before its request was complete)
//   kSubmitted or kReceiving -> kAnswered (in a stream: waits for the answers before it) -> kFree
enum class InferPhase : uint8_t { kFree, kReceiving, kSubmitted, kAnswered };

// Pooled by its front; an engine request with what the front needs to answer it.
// Thread: the front's, but `reply`, `status` and `next`, which the executor writes between
// complete() and the inbox.
struct InferCall : engine::Request {
  InferCall() { deadline_timer.infer = this; }

  InferPhase phase = InferPhase::kFree;
  bool has_message = false;
  bool is_parked = false;  // submitted, but waits at the desk for its version to be loaded
  bool is_streamed =
      false;  // answered as a part of a stream; executors read it, `stream` they may not
  // Of a message that its call holds back from the peer's window, or from the front's bound.
  size_t held_bytes = 0;
  bool is_typed = false;         // answered in typed contents, as asked
  grpc::Call* call = nullptr;    // null: nobody waits any more
  StreamCall* stream = nullptr;  // part of a ModelStreamInfer
  uint64_t token = 0;            // for fronts that answer by number
  // Of a request that came without a call: what routes may look at. Names in lower case.
  std::vector<std::pair<std::string, std::string>> headers;
  // Why its version was chosen, for the reply; empty where no route did.
  std::string route;
  // Null: not sampled for a trace or the access log. complete() writes its timing, all else is the
  // front's.
  CallRecord* record = nullptr;

  Buffer message;  // what request.inputs and `id` point into
  Buffer arena;    // typed contents turned raw

  Buffer reply;  // framed: headroom, then the serialised answer
  Status status;
  Nanos retry_after = 0;  // with kResourceExhausted: when to try again

  // The timer's owner is the front; the call is found from the timer.
  struct DeadlineTimer : Timer {
    InferCall* infer = nullptr;
  };
  DeadlineTimer deadline_timer;
  static InferCall& of(Timer& timer) { return *static_cast<DeadlineTimer&>(timer).infer; }
  InferCall* next = nullptr;  // in an inbox or a free list

  void recycle() {
    // A few large messages must not keep their memory for ever.
    constexpr size_t kKeptBytes = 64 * 1024;
    reset();
    phase = InferPhase::kFree;
    has_message = false;
    is_parked = false;
    is_streamed = false;
    held_bytes = 0;
    is_typed = false;
    call = nullptr;
    stream = nullptr;
    token = 0;
    headers.clear();
    route.clear();
    record = nullptr;
    message.shrink(kKeptBytes);
    arena.shrink(kKeptBytes);
    reply.shrink(kKeptBytes);
    if (!status.ok()) status = {};
    retry_after = 0;
    next = nullptr;
  }
};

}  // namespace fastserve::front
