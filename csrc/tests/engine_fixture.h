// An engine with one version that echoes its rows, and requests to it whose answers are kept.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "fastserve/engine/engine.h"
#include "tests/gated_session.h"

namespace fastserve::testing {

using engine::Completion;
using engine::Engine;
using engine::EngineOptions;
using engine::ModelEntry;
using engine::ModelSet;
using engine::Port;
using engine::Request;
using engine::Timing;
using engine::VersionConfig;
using engine::VersionHandle;

// A request with its rows; the rows' values are ids, so that a mixed-up answer shows.
struct Asked : Request {
  std::vector<int64_t> values;
  std::vector<int64_t> answer;
  Status status;
  int answers = 0;
  size_t place = 0;  // among the answers, from 0
};

class Answers final : public Completion {
 public:
  void complete(Request& request, const Status& status, std::span<const TensorView> outputs,
                const Timing&) override {
    std::lock_guard lock(mutex_);
    auto& asked = static_cast<Asked&>(request);
    ++asked.answers;
    asked.status = status;
    asked.place = order_++;
    if (!outputs.empty()) {
      const ByteSpan data = outputs[0].data;
      asked.answer.resize(data.size() / sizeof(int64_t));
      std::memcpy(asked.answer.data(), data.data(), data.size());
    }
  }
  // Counted here: until its flush an executor may touch this object.
  void flush_completions(size_t count) override {
    std::lock_guard lock(mutex_);
    count_ += count;
    changed_.notify_all();
  }
  void wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count_ >= count; });
  }
  std::mutex& mutex() { return mutex_; }
  size_t count() {
    std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t count_ = 0;
  size_t order_ = 0;
};

struct EngineFixture {
  explicit EngineFixture(EngineOptions options = {.executors = 1, .inline_budget = 0},
                         VersionConfig config = batching_config(),
                         const Shape& shape = {kDynamic, 1},
                         std::shared_ptr<engine::ObservationSink> sink = nullptr)
      : session(std::make_shared<GatedSession>(shape)), engine(std::make_unique<Engine>(options)) {
    version = engine->make_version(config, session).value();
    if (sink != nullptr) version->watch(std::move(sink), nullptr);
    auto models = std::make_shared<ModelSet>();
    ModelEntry entry;
    entry.name = config.model;
    entry.ready.push_back(version);
    entry.serving = 1;
    models->put(std::move(entry));
    engine->publish(models);
    port = engine->open_port(&answers, options.inline_budget > 0, nullptr);
  }
  ~EngineFixture() {
    session->open_gate();
    port.reset();
    engine.reset();
  }

  static VersionConfig batching_config() {
    VersionConfig config;
    config.model = "echo";
    config.is_batching = true;
    config.has_rows_axis = true;
    config.max_rows = 8;
    return config;
  }

  Asked* ask(std::vector<int64_t> values, Nanos deadline = kNever) {
    Asked& asked = requests.emplace_back();
    asked.values = std::move(values);
    asked.version = version;
    asked.rows = static_cast<uint32_t>(asked.values.size());
    asked.bytes = asked.values.size() * sizeof(int64_t);
    asked.inputs.resize(1);
    asked.inputs[0].shape = {static_cast<int64_t>(asked.values.size()), 1};
    asked.inputs[0].data = std::as_bytes(std::span(asked.values));
    asked.completion = &answers;
    asked.arrival = monotonic_now();
    asked.deadline = deadline;
    return &asked;
  }
  // Takes the one executor with a request of another version; open_gate() lets it go.
  void keep_executor_busy() {
    session->close_gate();
    Asked* asked = ask({0});
    asked->version = engine->make_version(batching_config(), session).value();
    REQUIRE(submit(asked).ok());
    port->flush();
    session->wait_for_runs(1);
  }
  Status submit(Asked* asked) {
    Nanos retry_after = 0;
    return port->submit(asked, monotonic_now(), &retry_after);
  }

  Answers answers;
  std::deque<Asked> requests;
  std::shared_ptr<GatedSession> session;
  std::unique_ptr<Engine> engine;
  VersionHandle version;
  std::unique_ptr<Port> port;
};

}  // namespace fastserve::testing
