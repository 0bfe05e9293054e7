// Raw bytes in, raw bytes out: a ModelInferRequest's bytes to a ModelInferResponse's, for callers
// that have no connection of ours: the grpc.aio transport and the control plane itself.
//
// Thread: one, for everything; `event_fd` tells it when answers wait.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/front/call_log.h"
#include "fastserve/front/infer_desk.h"

namespace fastserve::front {

// Where a request comes from, for its record. The views are read at once.
struct RawOrigin {
  CallMethod method = CallMethod::kModelInfer;
  std::string_view peer;
  std::string_view traceparent;
  std::string_view tracestate;
  int32_t token = -1;  // as CallRecord::token
};

struct RawAnswer {
  uint64_t token = 0;
  Status status;
  // Of an answer that a route chose the version of: what its trailers say. Else empty.
  std::string version;
  std::string route;
  Buffer reply;  // with grpc::kMessageHeadroom bytes in front
};

class RawPort {
 public:
  // `log` may be null: nothing is recorded then. Both outlive the port.
  RawPort(engine::Engine* engine, CallLog* log);
  ~RawPort();
  RawPort(const RawPort&) = delete;
  RawPort& operator=(const RawPort&) = delete;

  bool is_open() const { return desk_.is_open(); }
  int event_fd() const { return event_fd_; }

  // Submits one request, copied. Its answer comes out of take(), which may have it at once when it
  // ran on this thread. `token` is the caller's and not in use. `headers`: those of the call that
  // routes look at, names in lower case. Not ok: refused, nothing will come;
  // *retry_after says when to try again (0: no advice).
  Status submit(uint64_t token, ByteSpan message, Nanos deadline,
                std::vector<std::pair<std::string, std::string>> headers, const RawOrigin& origin,
                Nanos* retry_after);
  // The answer is no longer wanted; it may still come out of take().
  void cancel(uint64_t token);
  // Appends what is finished.
  void take(std::vector<RawAnswer>* answers);

 private:
  void on_answer(InferCall& infer);

  int event_fd_;
  std::unordered_map<uint64_t, InferCall*> open_;
  std::vector<RawAnswer> finished_;
  InferDesk desk_;
};

}  // namespace fastserve::front
