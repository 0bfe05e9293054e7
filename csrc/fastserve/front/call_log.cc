#include "fastserve/front/call_log.h"

#include <algorithm>
#include <utility>

namespace fastserve::front {
namespace {

void push(CallRecord* first, CallRecord* last, std::atomic<CallRecord*>* list) {
  CallRecord* head = list->load(std::memory_order_relaxed);
  do {
    last->next = head;
  } while (!list->compare_exchange_weak(head, first, std::memory_order_release,
                                        std::memory_order_relaxed));
}

}  // namespace

CallSampler::CallSampler(const CallLogOptions& options)
    : has_tracing_(options.has_tracing),
      trace_bound_(options.has_tracing ? sample_bound(options.trace_share) : 0),
      access_bound_(options.has_access_log ? sample_bound(options.access_share) : 0) {}

TraceContext CallSampler::read_context(std::string_view traceparent, std::string_view tracestate) {
  TraceContext context;
  if (traceparent.empty()) return context;
  if (parse_traceparent(traceparent, &context)) {
    context.state = tracestate;
  } else {
    invalid_contexts_.add(1);
  }
  return context;
}

CallSample CallSampler::sample(const TraceContext& context, bool may_trace) {
  CallSample sample;
  sample.is_logged =
      access_bound_ == kTakesAll || (access_bound_ != 0 && is_below(random_.next(), access_bound_));
  sample.trace_id = context.trace_id;
  sample.parent_id = context.parent_id;
  if (!has_tracing_ || !may_trace) return sample;
  if (context.trace_id.is_valid()) {
    sample.is_traced = context.is_sampled;
  } else if (trace_bound_ != 0) {
    const TraceId drawn{random_.next() | 1, random_.next()};
    sample.is_traced = is_below(drawn.low, trace_bound_);
    if (sample.is_traced) sample.trace_id = drawn;
  }
  if (sample.is_traced) sample.span_id = random_.next() | 1;
  return sample;
}

CallBook::CallBook(const CallLogOptions& options, size_t max_records)
    : max_records_(max_records), sampler_(options) {}

CallBook::~CallBook() = default;

TraceContext CallBook::read_context(const grpc::Call& call) {
  // A search through all headers each: the second only where it can say something.
  const std::string_view traceparent = call.header("traceparent");
  if (traceparent.empty()) return {};
  return sampler_.read_context(traceparent, call.header("tracestate"));
}

CallRecord* CallBook::take() {
  if (free_ == nullptr) free_ = returned_.exchange(nullptr, std::memory_order_acquire);
  if (free_ == nullptr) {
    if (records_.size() == max_records_) return nullptr;
    records_.push_back(std::make_unique<CallRecord>());
    return records_.back().get();
  }
  return std::exchange(free_, free_->next);
}

CallRecord* CallBook::begin(const TraceContext& context, CallMethod method, std::string_view peer,
                            bool may_trace) {
  const CallSample sample = sampler_.sample(context, may_trace);
  if (!sample.is_traced && !sample.is_logged) return nullptr;
  CallRecord* record = take();
  if (record == nullptr) {
    dropped_spans_.add(sample.is_traced ? 1 : 0);
    dropped_lines_.add(sample.is_logged ? 1 : 0);
    return nullptr;
  }
  record->begun = monotonic_now();
  record->received = 0;
  record->timing = {};
  record->answered = 0;
  record->trace_id = sample.trace_id;
  record->parent_id = sample.parent_id;
  record->span_id = sample.span_id;
  record->version = 0;
  record->received_bytes = 0;
  record->sent_bytes = 0;
  record->rows = 0;
  record->token = -1;
  record->code = Code::kCancelled;
  record->method = method;
  record->is_traced = sample.is_traced;
  record->is_logged = sample.is_logged;
  record->is_ended = false;
  record->path.clear();
  record->model.clear();
  record->id.clear();
  record->peer.assign(peer);
  record->state.clear();
  if (sample.is_traced && context.state.size() <= CallRecord::kMaxStateBytes) {
    record->state.assign(context.state);
  }
  return record;
}

void CallBook::leave(CallRecord* record) {
  if (!record->is_ended) {
    record->answered = monotonic_now();
    record->is_ended = true;
  }
  recorded_.add(1);
  push(record, record, &left_);
}

void CallBook::read(size_t max_count, std::vector<CallRecord>* records) {
  if (unread_ == nullptr) {
    CallRecord* newest = left_.exchange(nullptr, std::memory_order_acquire);
    while (newest != nullptr) {
      CallRecord* older = std::exchange(newest->next, unread_);
      unread_ = std::exchange(newest, older);
    }
  }
  if (unread_ == nullptr || max_count == 0) return;
  CallRecord* const first = unread_;
  CallRecord* last = nullptr;
  for (size_t count = 0; count < max_count && unread_ != nullptr; ++count) {
    records->push_back(*unread_);
    last = std::exchange(unread_, unread_->next);
  }
  push(first, last, &returned_);
}

bool CallBook::is_spent() const {
  return is_closed_.load(std::memory_order_acquire) && unread_ == nullptr &&
         left_.load(std::memory_order_acquire) == nullptr;
}

void CallBook::add_to(CallLogStats* stats) const {
  stats->recorded += recorded_.get();
  stats->dropped_spans += dropped_spans_.get();
  stats->dropped_lines += dropped_lines_.get();
  stats->invalid_contexts += sampler_.invalid_contexts();
}

CallLog::CallLog(const CallLogOptions& options) : options_(options), sampler_(options) {}

std::shared_ptr<CallBook> CallLog::open_book() {
  if (!options_.has_tracing && !options_.has_access_log) return nullptr;
  auto book = std::make_shared<CallBook>(options_);
  std::lock_guard lock(mutex_);
  books_.push_back(book);
  return book;
}

void CallLog::read(size_t max_count, std::vector<CallRecord>* records) {
  std::lock_guard lock(mutex_);
  const size_t before = records->size();
  // No book is always the first: a busy one must not keep the others full.
  if (books_.size() > 1) std::rotate(books_.begin(), books_.begin() + 1, books_.end());
  std::erase_if(books_, [&](const std::shared_ptr<CallBook>& book) {
    const size_t taken = records->size() - before;
    if (taken < max_count) book->read(max_count - taken, records);
    if (!book->is_spent()) return false;
    book->add_to(&spent_);
    return true;
  });
}

CallLogStats CallLog::stats() const {
  std::lock_guard lock(mutex_);
  CallLogStats stats = spent_;
  for (const auto& book : books_) book->add_to(&stats);
  stats.invalid_contexts += sampler_.invalid_contexts();
  return stats;
}

CallSample CallLog::sample(std::string_view traceparent, bool may_trace) {
  return sampler_.sample(sampler_.read_context(traceparent, {}), may_trace);
}

}  // namespace fastserve::front
