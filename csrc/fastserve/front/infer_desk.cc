#include "fastserve/front/infer_desk.h"

#include <string>
#include <thread>
#include <utility>

#include "fastserve/front/infer_decode.h"
#include "fastserve/front/infer_reply.h"

namespace fastserve::front {

InferDesk::InferDesk(engine::Engine* engine, CallLog* log,
                     std::function<void(InferCall&)> on_answer, std::function<void()> wake)
    : on_answer_(std::move(on_answer)),
      wake_(std::move(wake)),
      book_(log == nullptr ? nullptr : log->open_book()) {
  port_ = engine->open_port(this, /*allow_inline=*/true, wake_);
}

InferDesk::~InferDesk() { close(); }

void InferDesk::close() {
  if (port_ == nullptr) return;
  for (const auto& infer : calls_) {
    if (infer->phase == InferPhase::kSubmitted && cancel(infer.get(), engine::Failure::kDraining)) {
      infer->phase = InferPhase::kFree;
    }
  }
  // A run that is under way ends soon (its every member was cancelled); there is nothing to wait on
  // that would not cost the request path, and this is the end of a thread's life.
  while (outstanding_ > 0 || unflushed_.load(std::memory_order_acquire) > 0) {
    for (InferCall* infer = inbox_.exchange(nullptr, std::memory_order_acquire); infer != nullptr;
         infer = infer->next) {
      --outstanding_;
    }
    std::this_thread::yield();
  }
  port_.reset();
  if (book_ != nullptr) book_->close();
}

InferCall* InferDesk::take() {
  if (free_ == nullptr) {
    calls_.push_back(std::make_unique<InferCall>());
    free_ = calls_.back().get();
  }
  InferCall* infer = std::exchange(free_, free_->next);
  infer->next = nullptr;
  infer->phase = InferPhase::kReceiving;
  ++in_use_;
  return infer;
}

void InferDesk::give_back(InferCall* infer) {
  if (infer->record != nullptr) {
    fill_record(infer, Code::kCancelled);
    book_->leave(infer->record);
  }
  infer->recycle();
  --in_use_;
  infer->next = std::exchange(free_, infer);
}

void InferDesk::fill_record(InferCall* infer, Code code) {
  CallRecord& record = *infer->record;
  if (record.is_ended) return;
  record.is_ended = true;
  record.code = code;
  record.answered = monotonic_now();
  record.id.assign(infer->id);
  record.received_bytes = infer->message.size();
  if (code == Code::kOk && !infer->reply.empty()) {
    record.sent_bytes = infer->reply.size() - grpc::kMessageHeadroom;
  }
  if (!infer->version) return;
  record.version = infer->version->config().number;
  // What was not understood has no rows that anybody counted.
  if (code != Code::kInvalidArgument) record.rows = infer->rows;
}

Status InferDesk::start(InferCall* infer, Nanos now) {
  owner_.store(pthread_self(), std::memory_order_relaxed);
  infer->arrival = now;
  if (infer->record != nullptr) infer->record->received = now;
  return admit(infer, now);
}

Status InferDesk::admit(InferCall* infer, Nanos now) {
  Status status = decode_infer(port_->models(), port_->writer(), &scratch_, infer);
  if (!status.ok()) {
    if (infer->version) port_->count_failure(infer->version.get(), engine::Failure::kInvalid, 0);
    return status;
  }
  if (!infer->version) return park(infer);
  infer->completion = this;
  status = port_->submit(infer, now, &infer->retry_after);
  if (status.ok()) {
    infer->phase = InferPhase::kSubmitted;
    ++outstanding_;
  }
  return status;
}

Status InferDesk::park(InferCall* infer) {
  const size_t bytes = infer->message.size();
  if (parked_.size() >= kMaxParked || parked_bytes_ + bytes > kMaxParkedBytes) {
    return {Code::kResourceExhausted,
            std::to_string(parked_.size()) + " requests of " + std::to_string(parked_bytes_) +
                " bytes wait for models that are being loaded, and no more may; retry later"};
  }
  port_->want(scratch_.model_name, scratch_.model_version);
  // Of the first that waits: a later one must not hide a publish that came in between.
  if (parked_.empty()) parked_generation_ = port_->generation();
  parked_.push_back(infer);
  parked_bytes_ += bytes;
  infer->is_parked = true;
  infer->phase = InferPhase::kSubmitted;
  ++outstanding_;
  return ok_status();
}

void InferDesk::unpark(InferCall* infer) {
  infer->is_parked = false;
  parked_bytes_ -= infer->message.size();
  --outstanding_;
}

void InferDesk::retry_parked() {
  if (parked_.empty() || port_->generation() == parked_generation_) return;
  const Nanos now = monotonic_now();
  const uint64_t generation = port_->generation();
  // An answer may take others of the queue back, and one that has to go on waiting goes to its end.
  for (size_t left = parked_.size(); left > 0 && !parked_.empty(); --left) {
    InferCall* infer = parked_.front();
    parked_.pop_front();
    unpark(infer);
    infer->phase = InferPhase::kReceiving;
    infer->status = admit(infer, now);
    if (!infer->status.ok()) on_answer_(*infer);
  }
  // What was published during the loop is seen at the next wake-up, which it has caused.
  parked_generation_ = generation;
}

bool InferDesk::cancel(InferCall* infer, engine::Failure why) {
  if (infer->is_parked) {
    std::erase(parked_, infer);
    unpark(infer);
    return true;
  }
  if (!port_->cancel(infer, why)) return false;
  --outstanding_;
  return true;
}

void InferDesk::flush() { port_->flush(); }

void InferDesk::complete(engine::Request& request, const Status& status,
                         std::span<const TensorView> outputs, const engine::Timing& timing) {
  auto& infer = static_cast<InferCall&>(request);
  if (infer.record != nullptr) infer.record->timing = timing;
  if (!status.ok()) {
    infer.status = status;
  } else if (!infer.is_abandoned) {
    encode_reply(outputs, &infer);
  }
  if (is_owner()) {
    --outstanding_;
    on_answer_(infer);
    return;
  }
  unflushed_.fetch_add(1, std::memory_order_relaxed);
  infer.next = inbox_.load(std::memory_order_relaxed);
  while (!inbox_.compare_exchange_weak(infer.next, &infer, std::memory_order_release,
                                       std::memory_order_relaxed)) {
  }
}

void InferDesk::flush_completions(size_t count) {
  if (is_owner()) return;
  wake_();
  unflushed_.fetch_sub(count, std::memory_order_release);
}

void InferDesk::run_inbox() {
  port_->models();  // lets go of a snapshot that was replaced
  retry_parked();
  InferCall* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
  InferCall* oldest = nullptr;
  while (newest != nullptr) {
    InferCall* older = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = older;
  }
  while (oldest != nullptr) {
    InferCall* infer = std::exchange(oldest, oldest->next);
    infer->next = nullptr;
    --outstanding_;
    on_answer_(*infer);
  }
}

}  // namespace fastserve::front
