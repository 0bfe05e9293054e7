// The front of one io thread: tells hot methods from others, serves ModelInfer and ModelStreamInfer
// itself, and passes every other call over the bridge.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "fastserve/base/buffer.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/engine/engine.h"
#include "fastserve/front/bridge_port.h"
#include "fastserve/front/call_log.h"
#include "fastserve/front/infer_desk.h"
#include "fastserve/front/loop_front.h"
#include "fastserve/front/token_list.h"
#include "fastserve/grpc/call.h"

namespace fastserve::front {

struct FrontOptions {
  // Null: no token is asked for. Checked for every method, known or not.
  std::shared_ptr<const TokenList> tokens;
  // Outlives the front; null: nothing is recorded.
  CallLog* call_log = nullptr;
};

class ThreadFront final : public LoopFront {
 public:
  ThreadFront(engine::Engine* engine, Bridge* bridge, const FrontOptions& options, int index,
              std::function<void()> wake);
  ~ThreadFront() override;

  // False when the engine had no port left.
  bool is_open() const { return desk_.is_open(); }

  void on_call(grpc::Call& call) override;
  void on_message(grpc::Call& call, Buffer& message) override;
  void on_half_close(grpc::Call& call) override;
  void on_writable(grpc::Call& call) override;
  void on_closed(grpc::Call& call, bool cancelled) override;

  void run_inbox(Nanos now) override;
  void end_sweep(Nanos now) override;
  Nanos next_timer() const override { return timers_.next(); }
  bool has_calls_elsewhere() const override {
    return desk_.outstanding() > 0 || bridge_.open_calls() > 0;
  }
  void start_drain() override { is_draining_ = true; }

 private:
  // What grpc::Call::user points to, in user_tag.
  enum Tag : uint32_t { kNothing, kInfer, kStream, kBridge };

  // Finishes an inference that no InferCall was made for.
  void refuse(grpc::Call& call, int32_t token, const Status& status);
  void start_infer(InferCall& infer);
  void on_answer(InferCall& infer);
  // Answers the caller, if there still is one, and gives the call back.
  void answer(InferCall& infer, const Status& status);
  void expire(InferCall& infer);
  void forget_received(InferCall& infer);

  const FrontOptions options_;
  TokenReader tokens_;
  TimerWheel timers_;
  InferDesk desk_;
  BridgePort bridge_;
  // Whole messages of calls that did not half-close: no window holds them, so this bound does.
  static constexpr size_t kMaxReceivedBytes = 128 << 20;
  size_t received_bytes_ = 0;
  bool is_draining_ = false;
};

// A factory for net::Server. `engine` and `bridge` outlive the fronts.
LoopFrontFactory thread_front_factory(engine::Engine* engine, Bridge* bridge, FrontOptions options);

}  // namespace fastserve::front
