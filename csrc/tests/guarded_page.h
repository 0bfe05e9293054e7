// A page whose first reader stops there until it is let go: a thread can be held in the middle of a
// copy, without a hook in the code that copies. One at a time in a process.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <span>
#include <thread>

namespace fastserve::testing {

class GuardedPage {
 public:
  GuardedPage() : size_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    data_ = mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    begin_ = static_cast<const std::byte*>(data_);
    end_ = begin_ + size_;
    is_reached_ = false;
    is_open_ = false;
    struct sigaction action = {};
    action.sa_sigaction = stop_reader;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &before_);
  }
  ~GuardedPage() {
    sigaction(SIGSEGV, &before_, nullptr);
    munmap(data_, size_);
  }
  GuardedPage(const GuardedPage&) = delete;
  GuardedPage& operator=(const GuardedPage&) = delete;

  // Zeros, once the page is open.
  std::span<const std::byte> first(size_t bytes) const { return {begin_.load(), bytes}; }

  // Returns when somebody reads it, and is held.
  void wait_for_reader() const {
    while (!is_reached_) std::this_thread::yield();
  }

  // The reader goes on where it was.
  void open() {
    mprotect(data_, size_, PROT_READ);
    is_open_ = true;
  }

 private:
  static void stop_reader(int signal, siginfo_t* info, void*) {
    const auto* at = static_cast<const std::byte*>(info->si_addr);
    if (at < begin_.load() || at >= end_.load()) {
      // Somebody else's mistake: it comes again, and ends the process.
      struct sigaction ends = {};
      ends.sa_handler = SIG_DFL;
      sigaction(signal, &ends, nullptr);
      return;
    }
    is_reached_ = true;
    while (!is_open_) usleep(100);
  }

  static inline std::atomic<const std::byte*> begin_{nullptr};
  static inline std::atomic<const std::byte*> end_{nullptr};
  static inline std::atomic<bool> is_reached_{false};
  static inline std::atomic<bool> is_open_{false};

  size_t size_;
  void* data_;
  struct sigaction before_ = {};
};

}  // namespace fastserve::testing
