#include "fastserve/bench/run.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace fastserve::bench {
namespace {

constexpr auto kPollPause = std::chrono::milliseconds(2);

Status check(const LoadOptions& options) {
  if (options.payloads.empty()) return invalid_argument("a load needs a payload, got none");
  for (const Payload& payload : options.payloads) {
    if (payload.group >= options.groups)
      return invalid_argument("a payload's group is out of range");
  }
  if (options.threads < 1 || options.connections < options.threads || options.in_flight < 1) {
    return invalid_argument("a load needs a connection for each thread, and a call on each: got " +
                            std::to_string(options.threads) + " threads, " +
                            std::to_string(options.connections) + " connections, " +
                            std::to_string(options.in_flight) + " calls in flight");
  }
  if (options.max_requests == 0 && options.duration == kNever) {
    return invalid_argument("a load needs an end: give a duration or a number of requests");
  }
  if (options.tls && !options.tls->is_client()) {
    return invalid_argument("a load needs a TLS context of a client, got a server's");
  }
  return ok_status();
}

// The part of worker `index` when `whole` is dealt out evenly.
uint64_t part_of(uint64_t whole, int index, int workers) {
  const auto count = static_cast<uint64_t>(workers);
  return whole / count + (static_cast<uint64_t>(index) < whole % count ? 1 : 0);
}

}  // namespace

Result<std::unique_ptr<LoadRun>> LoadRun::start(LoadOptions options) {
  if (Status status = check(options); !status.ok()) return status;
  Result<Target> target = options.unix_path.empty()
                              ? find_target(options.host, options.port, options.connect_timeout)
                              : find_unix_target(options.unix_path, options.connect_timeout);
  if (!target.ok()) return target.status();
  std::unique_ptr<LoadRun> run(new LoadRun(std::move(options), target.value()));
  try {
    for (int i = 0; i < run->options_.threads; ++i) {
      const LoadOptions& all = run->options_;
      Share share{.index = i,
                  .connections = static_cast<int>(
                      part_of(static_cast<uint64_t>(all.connections), i, all.threads))};
      if (all.max_requests > 0) share.max_requests = part_of(all.max_requests, i, all.threads);
      run->threads_.emplace_back([self = run.get(), share] {
        Worker worker(self->options_, self->target_, share, &self->state_,
                      self->tallies_[static_cast<size_t>(share.index)].get());
        worker.run();
      });
    }
  } catch (const std::system_error& error) {
    return Status{Code::kResourceExhausted, std::string("cannot start a thread: ") + error.what()};
  }
  return run;
}

LoadRun::LoadRun(LoadOptions options, const Target& target)
    : options_(std::move(options)), target_(target) {
  state_.connecting.store(options_.threads);
  for (int i = 0; i < options_.threads; ++i) {
    tallies_.push_back(std::make_unique<Tally>(options_.groups));
  }
}

LoadRun::~LoadRun() {
  state_.is_abandoned.store(true);
  stop();
  for (std::thread& thread : threads_) thread.join();
}

Snapshot LoadRun::snapshot() const {
  Snapshot sum;
  sum.is_done = true;
  sum.groups.resize(options_.groups);
  for (const auto& tally : tallies_) {
    sum.is_done = sum.is_done && tally->is_done.load(std::memory_order_acquire);
    for (size_t g = 0; g < sum.groups.size(); ++g) {
      const GroupTally& from = *tally->groups[g];
      GroupSnapshot& to = sum.groups[g];
      for (size_t s = 0; s < kStatuses; ++s) to.statuses[s] += from.statuses[s].get();
      to.measured += from.measured.get();
      to.measured_ok += from.measured_ok.get();
      from.latency.add_to(&to.latency);
    }
    sum.sent += tally->sent.get();
    sum.unanswered += tally->unanswered.get();
    sum.unsent += tally->unsent.get();
    sum.connects += tally->connects.get();
    sum.lost += tally->lost.get();
    sum.received_bytes += tally->received_bytes.get();
    sum.busy_ns += tally->busy_ns.get();
    tally->delay.add_to(&sum.delay);
    std::lock_guard lock(tally->mutex);
    if (sum.failure.empty()) sum.failure = tally->failure;
    for (size_t s = 0; s < kStatuses; ++s) {
      if (sum.examples[s].empty()) sum.examples[s] = tally->examples[s];
    }
  }
  sum.began = state_.began;
  sum.measure_from = state_.measure_from;
  sum.last_reply = state_.last_reply;
  sum.now = monotonic_now();
  return sum;
}

bool LoadRun::wait(Nanos until) const {
  while (true) {
    const bool is_done = std::all_of(tallies_.begin(), tallies_.end(), [](const auto& tally) {
      return tally->is_done.load(std::memory_order_acquire);
    });
    if (is_done || monotonic_now() >= until) return is_done;
    std::this_thread::sleep_for(kPollPause);
  }
}

}  // namespace fastserve::bench
