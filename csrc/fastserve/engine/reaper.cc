#include "fastserve/engine/reaper.h"

#include <malloc.h>

#include <utility>

#include "fastserve/engine/version.h"

namespace fastserve::engine {

Reaper::Reaper() : thread_([this] { run(); }) {}

Reaper::~Reaper() { stop(); }

void Reaper::dispose(Version* version) {
  {
    std::lock_guard lock(mutex_);
    if (!is_stopping_) {
      waiting_.push_back(version);
      pending_.fetch_add(1, std::memory_order_relaxed);
      wake_.notify_one();
      return;
    }
  }
  delete version;
}

void Reaper::stop() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Reaper::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return is_stopping_ || !waiting_.empty(); });
    std::vector<Version*> dead = std::exchange(waiting_, {});
    if (dead.empty()) return;
    lock.unlock();
    for (Version* version : dead) delete version;
    // What the session held goes back to the system, not only to the allocator.
    malloc_trim(0);
    pending_.fetch_sub(dead.size(), std::memory_order_release);
    lock.lock();
  }
}

}  // namespace fastserve::engine
