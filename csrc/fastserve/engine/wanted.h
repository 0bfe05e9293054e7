// Versions that requests ask for and that are loaded on demand, on their way to the control plane.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastserve::engine {

class Wanted {
 public:
  // A model's name and a version string as requests carry them.
  using Wish = std::pair<std::string, std::string>;

  Wanted();
  ~Wanted();
  Wanted(const Wanted&) = delete;
  Wanted& operator=(const Wanted&) = delete;

  // Readable while wishes wait. -1 when the process had no descriptor left for it.
  int event_fd() const { return event_fd_; }
  // Of the same wish, one waits. Thread: any.
  void add(std::string_view model, std::string_view version);
  // Thread: the control plane's.
  std::vector<Wish> take();

 private:
  const int event_fd_;
  std::mutex mutex_;
  std::set<Wish> wishes_;
};

}  // namespace fastserve::engine
