#include "fastserve/engine/shadow_thread.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "fastserve/engine/shadow.h"

namespace fastserve::engine {
namespace {

// Between two looks whether requests still wait.
constexpr auto kBusyPause = std::chrono::milliseconds(1);
// A run that was told to end may not have begun yet: it is told again after so long.
constexpr auto kTerminatePause = std::chrono::milliseconds(1);
// wake() may find the lock taken just before the thread sleeps: it looks again after so long.
constexpr auto kMissedWakePause = std::chrono::milliseconds(100);
constexpr int kLowestPriority = 19;

void go_behind_all_others() {
  const sched_param parameter{};
  const auto thread = static_cast<pid_t>(syscall(SYS_gettid));
  if (sched_setscheduler(thread, SCHED_IDLE, &parameter) == 0) return;
  setpriority(PRIO_PROCESS, static_cast<id_t>(thread), kLowestPriority);
}

}  // namespace

ShadowThread::ShadowThread(std::function<bool()> is_busy) : is_busy_(std::move(is_busy)) {
  thread_ = std::thread([this] { run(); });
}

ShadowThread::~ShadowThread() { stop(); }

void ShadowThread::add(std::shared_ptr<Shadow> shadow) {
  std::lock_guard lock(mutex_);
  shadows_.push_back(std::move(shadow));
}

void ShadowThread::remove(const Shadow* shadow) {
  std::shared_ptr<Shadow> removed;  // destroyed without the lock
  std::unique_lock lock(mutex_);
  const auto found = std::find_if(shadows_.begin(), shadows_.end(),
                                  [shadow](const auto& each) { return each.get() == shadow; });
  if (found != shadows_.end()) {
    removed = std::move(*found);
    shadows_.erase(found);
  }
  while (current_.get() == shadow) {
    current_->terminate();
    idle_.wait_for(lock, kTerminatePause);
  }
}

void ShadowThread::wake() {
  is_woken_.store(true, std::memory_order_relaxed);
  // Whoever calls has a higher priority than the thread that may hold the lock.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  if (current_ == nullptr) {
    work_.notify_one();
  } else if (monotonic_now() - began_ > current_->options().max_run) {
    current_->terminate();
  }
}

void ShadowThread::stop() {
  std::vector<std::shared_ptr<Shadow>> shadows;  // destroyed without the lock
  {
    std::unique_lock lock(mutex_);
    is_stopping_ = true;
    work_.notify_one();
    shadows.swap(shadows_);
    while (current_ != nullptr) {
      current_->terminate();
      idle_.wait_for(lock, kTerminatePause);
    }
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<Shadow> ShadowThread::next() {
  for (size_t i = 0; i < shadows_.size(); ++i) {
    const size_t place = (turn_ + i) % shadows_.size();
    if (!shadows_[place]->has_work()) continue;
    turn_ = place + 1;
    return shadows_[place];
  }
  return nullptr;
}

void ShadowThread::run() {
  go_behind_all_others();
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    is_woken_.store(false, std::memory_order_relaxed);
    std::shared_ptr<Shadow> shadow = next();
    if (shadow == nullptr) {
      work_.wait_for(lock, kMissedWakePause, [this] { return is_woken_ || is_stopping_; });
      continue;
    }
    if (is_busy_()) {
      work_.wait_for(lock, kBusyPause, [this] { return is_stopping_; });
      continue;
    }
    began_ = monotonic_now();
    current_ = shadow;
    lock.unlock();
    shadow->run_next();
    lock.lock();
    current_.reset();
    idle_.notify_all();
    lock.unlock();
    // The last one may be this.
    shadow.reset();
    lock.lock();
  }
}

}  // namespace fastserve::engine
