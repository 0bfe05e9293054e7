#include "fastserve/engine/wanted.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace fastserve::engine {

Wanted::Wanted() : event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Wanted::~Wanted() { close(event_fd_); }

void Wanted::add(std::string_view model, std::string_view version) {
  std::lock_guard lock(mutex_);
  if (!wishes_.emplace(model, version).second) return;
  // Fails only when the counter is full, and then it is readable anyway.
  [[maybe_unused]] const int written = eventfd_write(event_fd_, 1);
}

std::vector<Wanted::Wish> Wanted::take() {
  std::lock_guard lock(mutex_);
  eventfd_t count = 0;
  [[maybe_unused]] const int got = eventfd_read(event_fd_, &count);
  std::vector<Wish> wishes(wishes_.begin(), wishes_.end());
  wishes_.clear();
  return wishes;
}

}  // namespace fastserve::engine
