// The one thread that runs the candidates of all shadows, on processor time that nobody else wants.
//
// Its scheduling class is SCHED_IDLE: the kernel gives it a core only while that core would be
// idle, but for a few tenths of a percent, and takes it back as soon as another thread wakes. Where
// that is refused it has the lowest priority there is. It also begins no run while requests wait
// for an executor.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fastserve/base/clock.h"

namespace fastserve::engine {

class Shadow;

class ShadowThread {
 public:
  // `is_busy`: whether requests wait. Thread: the one that is made here.
  explicit ShadowThread(std::function<bool()> is_busy);
  ~ShadowThread();
  ShadowThread(const ShadowThread&) = delete;
  ShadowThread& operator=(const ShadowThread&) = delete;

  void add(std::shared_ptr<Shadow> shadow);
  // Ends the shadow's run and forgets it; returns when nothing of it is running. Any number of
  // times.
  void remove(const Shadow* shadow);
  // Work came for a shadow. Also ends a run that takes too long. Waits for nobody.
  void wake();
  // Ends the run under way; nothing runs any more. Before what `is_busy` looks at is gone.
  void stop();

 private:
  void run();
  // Under mutex_. The next shadow that has work, from the one after the last; null for none.
  std::shared_ptr<Shadow> next();

  const std::function<bool()> is_busy_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable idle_;
  std::vector<std::shared_ptr<Shadow>> shadows_;
  size_t turn_ = 0;
  std::shared_ptr<Shadow> current_;
  Nanos began_ = 0;
  std::atomic<bool> is_woken_{false};
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace fastserve::engine
