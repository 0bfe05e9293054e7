#include "fastserve/net/io_thread.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>
#include <future>
#include <system_error>
#include <utility>

namespace fastserve::net {
namespace {

// A sweep ends after so many handlers or so long, even if more sockets are ready: the first answer
// waits for the last read.
constexpr int kHandlersPerSweep = 1024;
constexpr Nanos kReadTimePerSweep = kMillisecond;
// Scratch memory kept between sweeps.
constexpr size_t kKeptScratchBytes = 1 << 20;

std::chrono::steady_clock::time_point time_point_of(Nanos when) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when));
}

}  // namespace

// Concurrency hint 1: one thread runs the context; others only post to it.
IoThread::IoThread(const ServerOptions& options, int index)
    : options_(options),
      index_(index),
      context_(1),
      work_(context_.get_executor()),
      now_(monotonic_now()),
      timers_(now_),
      spinner_(options.poll_budget) {}

IoThread::~IoThread() = default;

Status IoThread::start(const front::LoopFrontFactory& make_front) {
  std::promise<bool> made;
  std::future<bool> is_made = made.get_future();
  try {
    thread_ = std::thread([this, &make_front, &made] {
      front_ = make_front(index_, [this] { wake(); });
      const bool has_front = front_ != nullptr;
      made.set_value(has_front);
      if (has_front) run();
      front_.reset();
    });
  } catch (const std::system_error& error) {
    return {Code::kResourceExhausted,
            "cannot start io thread " + std::to_string(index_) + ": " + error.what()};
  }
  if (is_made.get()) return ok_status();
  thread_.join();
  return {Code::kResourceExhausted,
          "io thread " + std::to_string(index_) + " got no front; use fewer io threads"};
}

void IoThread::post(std::function<void()> task) { asio::post(context_, std::move(task)); }

void IoThread::adopt(int socket, std::string peer, std::shared_ptr<const TlsContext> tls) {
  // Counted here, so that the next choice of a thread sees it.
  open_connections_.fetch_add(1, std::memory_order_relaxed);
  asio::post(context_, [this, socket, peer = std::move(peer), tls = std::move(tls)]() mutable {
    open(socket, std::move(peer), std::move(tls));
  });
}

void IoThread::wake() {
  // Awake: the loop looks at the signal before it sleeps. Notified: somebody woke it already.
  if (signal_.exchange(kNotified, std::memory_order_acq_rel) != kAsleep) return;
  asio::post(context_, WakeHandler{&wake_memory_});
}

void IoThread::start_drain() {
  post([this] {
    if (is_draining_) return;
    is_draining_ = true;
    front_->start_drain();
    for (const auto& connection : connections_) connection->start_drain();
    drain_timer_.set(
        [](Timer&, void* self, Nanos) {
          auto& loop = *static_cast<IoThread*>(self);
          loop.is_drained_ = true;
          for (const auto& connection : loop.connections_) connection->finish_drain();
        },
        this);
    timers_.arm(drain_timer_, monotonic_now() + options_.timeouts.drain_step);
  });
}

void IoThread::stop() {
  post([this] { is_stopping_ = true; });
}

void IoThread::join() {
  if (thread_.joinable()) thread_.join();
}

void IoThread::run() {
  while (true) {
    wait();
    read_ready();
    sweep();
    if (is_stopping_) {
      close_all();
      if (connections_.empty()) break;
    }
  }
  timers_.disarm(drain_timer_);
  // Sockets that were handed over and not opened are closed by their tasks.
  work_.reset();
  context_.restart();
  context_.poll();
}

// Blocks until the first event, runs its handler.
void IoThread::wait() {
  if (!touched_.empty() || is_notified_) return;
  const Nanos idle_since = monotonic_now();
  if (poll_before_sleep(idle_since)) return;
  int signal = kAwake;
  if (!signal_.compare_exchange_strong(signal, kAsleep, std::memory_order_acq_rel)) return;
  const Nanos until = std::min(front_->next_timer(), timers_.next());
  if (until == kNever) {
    context_.run_one();
  } else {
    context_.run_one_until(time_point_of(until));
  }
  is_notified_ = signal_.exchange(kAwake, std::memory_order_acq_rel) == kNotified;
  spinner_.observe(monotonic_now() - idle_since, /*slept=*/true);
}

// True when something came up. While a call is with an executor or with Python it does not poll:
// they may need this very core.
bool IoThread::poll_before_sleep(Nanos idle_since) {
  const Nanos budget = spinner_.budget();
  if (budget == 0 || front_->has_calls_elsewhere()) return false;
  Nanos now = idle_since;
  const Nanos until = std::min({now + budget, front_->next_timer(), timers_.next()});
  while (now < until) {
    const bool is_up = context_.poll_one() > 0 || signal_.load(std::memory_order_relaxed) != kAwake;
    now = monotonic_now();
    if (!is_up) continue;
    spinner_.observe(now - idle_since, /*slept=*/false);
    return true;
  }
  return false;
}

// Runs the handlers of everything that is ready. Each connection reads at most once: it reads on
// after it was written.
void IoThread::read_ready() {
  const Nanos began = read_clock();
  for (int handlers = 0; handlers < kHandlersPerSweep; ++handlers) {
    if (context_.poll_one() == 0) break;
    if (now_ - began > kReadTimePerSweep) break;
  }
}

void IoThread::sweep() {
  read_clock();
  timers_.advance(now_);
  if (signal_.exchange(kAwake, std::memory_order_acq_rel) == kNotified || is_notified_) {
    is_notified_ = false;
    front_->run_inbox(now_);
  }
  front_->end_sweep(now_);
  flush_touched();
}

void IoThread::flush_touched() {
  // What is touched from here on (more to write, answers set free by a closed connection) has its
  // turn in the next sweep, which then does not wait.
  flushing_.swap(touched_);
  for (Connection* connection : flushing_) {
    if (!connection->flush()) remove(connection);
  }
  flushing_.clear();
  for (Buffer* scratch : {&out_, &plain_in_, &plain_out_}) scratch->shrink(kKeptScratchBytes);
}

void IoThread::open(int socket, std::string peer, std::shared_ptr<const TlsContext> tls) {
  Socket opened(context_);
  std::error_code error;
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  opened.assign(asio::generic::stream_protocol(address.ss_family, 0), socket, error);
  if (error) ::close(socket);
  if (!error) opened.non_blocking(true, error);
  if (error || is_stopping_) {
    open_connections_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  connections_.push_back(
      std::make_unique<Connection>(this, std::move(opened), std::move(peer), std::move(tls)));
  Connection& connection = *connections_.back();
  connection.position = connections_.size() - 1;
  if (is_draining_) connection.start_drain();
  if (is_drained_) connection.finish_drain();
}

void IoThread::remove(Connection* connection) {
  const size_t position = connection->position;
  connections_.back()->position = position;
  std::swap(connections_[position], connections_.back());
  connections_.pop_back();
  open_connections_.fetch_sub(1, std::memory_order_relaxed);
}

void IoThread::close_all() {
  for (const auto& connection : connections_) connection->close();
}

}  // namespace fastserve::net
