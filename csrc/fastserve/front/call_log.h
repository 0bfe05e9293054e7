// Records of calls on their way from the threads that serve to the one that writes spans and the
// access log.
//
// Each serving thread has a book: a pool of records that grows to kMaxRecords and no further. A
// call that is to be recorded takes one when it begins, carries it, and leaves it in the book when
// it ends; the reader copies it out and gives it back. No lock, no copy, and no wait on the serving
// side: when all records are with calls or wait to be read, the call goes unrecorded and is
// counted. Which calls are recorded is decided when they begin:
//
//   * traced: its caller's trace is sampled (parent-based), or it is in no trace and the id that
//     it draws is below the share of new traces;
//   * logged: the share of the access log, drawn for each call.
//
// A record is left by its thread alone and read after that: lists change hands by one atomic
// exchange each, so nothing of a record needs to be atomic.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "fastserve/base/random.h"
#include "fastserve/engine/stats.h"
#include "fastserve/front/call_record.h"
#include "fastserve/front/trace_context.h"
#include "fastserve/grpc/call.h"

namespace fastserve::front {

struct CallLogOptions {
  bool has_tracing = false;
  double trace_share = 0;  // of calls that are in no trace
  bool has_access_log = false;
  double access_share = 0;
};

struct CallLogStats {
  uint64_t recorded = 0;
  uint64_t dropped_spans = 0;
  uint64_t dropped_lines = 0;
  uint64_t invalid_contexts = 0;
};

// What is decided about a call when it begins.
struct CallSample {
  TraceId trace_id;
  uint64_t parent_id = 0;
  uint64_t span_id = 0;
  bool is_traced = false;
  bool is_logged = false;
};

// The rules, and the luck, of one thread.
class CallSampler {
 public:
  explicit CallSampler(const CallLogOptions& options);

  // An invalid `traceparent` is counted and counts as none. Nothing is read without tracing and
  // without an access log.
  TraceContext read_context(std::string_view traceparent, std::string_view tracestate);
  // `may_trace`: false for callers that were not let in: strangers fill no collector.
  CallSample sample(const TraceContext& context, bool may_trace = true);
  uint64_t invalid_contexts() const { return invalid_contexts_.get(); }

 private:
  const bool has_tracing_;
  const uint64_t trace_bound_;
  const uint64_t access_bound_;
  Random random_;
  engine::SingleWriterCounter invalid_contexts_;
};

// Thread: its owner's, but for `read`, `stats` and `is_spent`, which are the reader's.
class CallBook {
 public:
  static constexpr size_t kMaxRecords = 8192;

  explicit CallBook(const CallLogOptions& options, size_t max_records = kMaxRecords);
  ~CallBook();
  CallBook(const CallBook&) = delete;
  CallBook& operator=(const CallBook&) = delete;

  TraceContext read_context(std::string_view traceparent, std::string_view tracestate) {
    return sampler_.read_context(traceparent, tracestate);
  }
  TraceContext read_context(const grpc::Call& call);
  // The record of a call that begins now; null when it is not sampled or none is left.
  CallRecord* begin(const TraceContext& context, CallMethod method, std::string_view peer,
                    bool may_trace = true);
  // The record is the reader's. An unended one counts as cancelled now.
  void leave(CallRecord* record);
  // Nothing will be left any more.
  void close() { is_closed_.store(true, std::memory_order_release); }

  // Appends copies of at most `max_count` records, oldest first.
  void read(size_t max_count, std::vector<CallRecord>* records);
  bool is_spent() const;
  void add_to(CallLogStats* stats) const;

 private:
  CallRecord* take();

  const size_t max_records_;
  CallSampler sampler_;
  std::vector<std::unique_ptr<CallRecord>> records_;  // every one ever made; the owner's
  CallRecord* free_ = nullptr;                        // the owner's
  CallRecord* unread_ = nullptr;                      // the reader's, oldest first
  std::atomic<CallRecord*> left_{nullptr};            // newest first
  std::atomic<CallRecord*> returned_{nullptr};
  std::atomic<bool> is_closed_{false};
  engine::SingleWriterCounter recorded_;
  engine::SingleWriterCounter dropped_spans_;
  engine::SingleWriterCounter dropped_lines_;
};

// All books of a server. Outlives the fronts that have one.
class CallLog {
 public:
  explicit CallLog(const CallLogOptions& options);

  // A book for one serving thread; null when neither spans nor lines are asked for. The thread
  // closes it. Thread: any.
  std::shared_ptr<CallBook> open_book();
  // Appends at most `max_count` records. Thread: one reader.
  void read(size_t max_count, std::vector<CallRecord>* records);
  // Thread: any.
  CallLogStats stats() const;

  // For calls that the control plane serves, which records them itself. Thread: the control
  // plane's.
  CallSample sample(std::string_view traceparent, bool may_trace);

 private:
  const CallLogOptions options_;
  CallSampler sampler_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<CallBook>> books_;
  CallLogStats spent_;  // of books that are gone
};

}  // namespace fastserve::front
