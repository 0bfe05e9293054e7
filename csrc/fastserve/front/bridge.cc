#include "fastserve/front/bridge.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "fastserve/front/bridge_port.h"

namespace fastserve::front {

Bridge::Bridge() : event_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Bridge::~Bridge() {
  if (event_fd_ >= 0) close(event_fd_);
}

void Bridge::post(BridgeEvent event) {
  if (event.kind == BridgeEvent::Kind::kStart) {
    waiting_calls_.fetch_add(1, std::memory_order_relaxed);
  }
  if (!events_.post(std::move(event))) return;
  // Fails only when the counter is full, and then the descriptor is readable already.
  [[maybe_unused]] const auto result = eventfd_write(event_fd_, 1);
}

void Bridge::take_events(std::vector<BridgeEvent>* events) {
  // The descriptor is reset before the events are taken: one that comes in between is taken now and
  // costs a needless wake-up, never a lost one.
  eventfd_t count;
  [[maybe_unused]] const auto result = eventfd_read(event_fd_, &count);
  events->clear();
  events_.take(events);
  int64_t starts = 0;
  for (const BridgeEvent& event : *events) starts += event.kind == BridgeEvent::Kind::kStart;
  waiting_calls_.fetch_sub(starts, std::memory_order_relaxed);
}

void Bridge::send(BridgeCommand command) {
  Inbox& inbox = inboxes_[static_cast<size_t>(BridgePort::index_of(command.call))];
  std::lock_guard lock(inbox.mutex);
  if (!inbox.wake) return;
  if (inbox.commands.post(std::move(command))) inbox.wake();
}

}  // namespace fastserve::front
