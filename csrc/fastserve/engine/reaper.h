// Destroys versions on a thread of its own: freeing a session takes milliseconds to seconds, and
// the thread that answers a version's last request must not pay for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace fastserve::engine {

class Version;

class Reaper {
 public:
  Reaper();
  ~Reaper();

  // Thread: any. After stop() it destroys on the calling thread.
  void dispose(Version* version);
  // Versions that were disposed of and are not destroyed yet. Thread: any.
  size_t pending() const { return pending_.load(std::memory_order_acquire); }
  // Destroys what waits and ends the thread. Thread: not the reaper's own.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Version*> waiting_;
  std::atomic<size_t> pending_{0};
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace fastserve::engine
