#include "fastserve/front/raw_port.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace fastserve::front {

RawPort::RawPort(engine::Engine* engine, CallLog* log)
    : event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      desk_(
          engine, log, [this](InferCall& infer) { on_answer(infer); },
          [fd = event_fd_] {
            const uint64_t one = 1;
            // The only failure of an eventfd's write is a full counter, and then it is readable
            // anyway.
            [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
          }) {}

RawPort::~RawPort() {
  desk_.close();  // executors write to the descriptor until then
  close(event_fd_);
}

Status RawPort::submit(uint64_t token, ByteSpan message, Nanos deadline,
                       std::vector<std::pair<std::string, std::string>> headers,
                       const RawOrigin& origin, Nanos* retry_after) {
  *retry_after = 0;
  InferCall* infer = desk_.take();
  infer->token = token;
  infer->deadline = deadline;
  infer->headers = std::move(headers);
  if (CallBook* book = desk_.book(); book != nullptr) {
    infer->record = book->begin(book->read_context(origin.traceparent, origin.tracestate),
                                origin.method, origin.peer);
    if (infer->record != nullptr) infer->record->token = origin.token;
  }
  infer->message.reserve_message(message.size(), message.size());
  infer->message.append(message);
  Status status = desk_.start(infer, monotonic_now());
  if (!status.ok()) {
    *retry_after = infer->retry_after;
    desk_.end_record(infer, status.code());
    desk_.give_back(infer);
    return status;
  }
  open_[token] = infer;
  desk_.flush();
  return status;
}

void RawPort::cancel(uint64_t token) {
  const auto found = open_.find(token);
  if (found == open_.end()) return;
  InferCall* infer = found->second;
  // A transport that has no other word cancels what is overdue, too.
  desk_.end_record(infer,
                   infer->deadline <= monotonic_now() ? Code::kDeadlineExceeded : Code::kCancelled);
  if (!desk_.cancel(infer, engine::Failure::kCancelled)) return;
  open_.erase(found);
  desk_.give_back(infer);
}

void RawPort::on_answer(InferCall& infer) {
  open_.erase(infer.token);
  desk_.end_record(&infer, infer.status.code());
  if (infer.is_abandoned) {  // cancelled: it has no reply, and nobody waits for one
    desk_.give_back(&infer);
    return;
  }
  RawAnswer& answer = finished_.emplace_back();
  answer.token = infer.token;
  if (infer.status.ok() && !infer.route.empty()) {
    answer.version = infer.version->number_text();
    answer.route = infer.route;
  }
  answer.status = std::move(infer.status);
  answer.reply = std::move(infer.reply);
  desk_.give_back(&infer);
}

void RawPort::take(std::vector<RawAnswer>* answers) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(event_fd_, &count, sizeof count);
  desk_.run_inbox();
  desk_.flush();  // what waited for its version to be loaded
  for (RawAnswer& answer : finished_) answers->push_back(std::move(answer));
  finished_.clear();
}

}  // namespace fastserve::front
