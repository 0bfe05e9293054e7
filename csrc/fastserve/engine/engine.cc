#include "fastserve/engine/engine.h"

#include <algorithm>
#include <utility>

#include "fastserve/engine/scheduler.h"
#include "fastserve/engine/synthetic_rows.h"

namespace fastserve::engine {

Engine::Engine(const EngineOptions& options)
    : options_(options),
      models_(std::make_shared<const ModelSet>()),
      ports_(options.max_ports, nullptr),
      reaper_(std::make_shared<Reaper>()),
      scheduler_(std::make_unique<Scheduler>(options.executors, options.max_ports)) {
  observer_ = std::make_shared<Observer>(writers(), options.observer);
}

Engine::~Engine() {
  // It looks at the scheduler.
  if (shadow_thread_ != nullptr) shadow_thread_->stop();
  scheduler_.reset();
  models_.reset();
  reaper_->stop();
}

Result<VersionHandle> Engine::make_version(VersionConfig config,
                                           std::shared_ptr<runtime::Session> session) {
  Result<QueueRules> rules =
      QueueRules::make(config.priority_levels, config.default_priority, config.queue_policies);
  if (!rules.ok()) return rules.status();
  Result<std::unique_ptr<const Reshapes>> reshapes =
      Reshapes::make(session->signature(), config.has_rows_axis, config.reshapes);
  if (!reshapes.ok()) return reshapes.status();
  return VersionHandle(new Version(std::move(config), std::move(*rules), std::move(*reshapes),
                                   std::move(session), writers(), reaper_, observer_));
}

std::shared_ptr<ShadowThread> Engine::shadow_thread() {
  std::lock_guard lock(models_mutex_);
  if (shadow_thread_ == nullptr) {
    shadow_thread_ = std::make_shared<ShadowThread>([this] { return backlog_ns() > 0; });
  }
  return shadow_thread_;
}

size_t Engine::writers() const { return options_.max_ports + scheduler_->writers(); }

void Engine::publish(std::shared_ptr<const ModelSet> models) {
  {
    std::lock_guard lock(models_mutex_);
    std::swap(models_, models);
    generation_.fetch_add(1, std::memory_order_release);
    for (Port* port : ports_) {
      // Under the lock, so that a port cannot close between the look and the call.
      if (port != nullptr && port->on_publish_) port->on_publish_();
    }
  }
}

std::shared_ptr<const ModelSet> Engine::models() const {
  std::lock_guard lock(models_mutex_);
  return models_;
}

std::unique_ptr<Port> Engine::open_port(Completion* completion, bool allow_inline,
                                        std::function<void()> on_publish) {
  std::lock_guard lock(models_mutex_);
  const auto free = std::find(ports_.begin(), ports_.end(), nullptr);
  if (free == ports_.end()) return nullptr;
  const auto writer = static_cast<size_t>(free - ports_.begin());
  std::unique_ptr<Port> port(
      new Port(this, completion, allow_inline, writer, std::move(on_publish)));
  *free = port.get();
  return port;
}

void Engine::close_port(Port* port) {
  std::lock_guard lock(models_mutex_);
  ports_[port->writer_] = nullptr;
}

int64_t Engine::backlog_ns() const { return scheduler_->backlog_ns(); }

uint64_t Engine::total_queued_bytes() const { return scheduler_->queued_bytes(); }

Result<Nanos> Engine::warm_up(Version& version, uint32_t rows) {
  SyntheticRows inputs(version.signature(), rows);
  const auto runner = version.session().make_runner();
  const size_t outputs_count = version.signature().outputs.size();
  std::vector<runtime::RunOutput> outputs(outputs_count);
  const auto wanted = std::make_unique<bool[]>(outputs_count);
  std::fill_n(wanted.get(), outputs_count, true);
  // A batch is joined from its requests' rows: where that costs more than it saves, the curve must
  // say so. The first round finds the memory, as a batch in steady state has it.
  if (version.config().is_batching && rows > 1) inputs.join_rows();
  const Nanos start = monotonic_now();
  if (version.config().is_batching && rows > 1) inputs.join_rows();
  if (Status status = runner->run(inputs.inputs(), {wanted.get(), outputs_count}, outputs);
      !status.ok()) {
    return status;
  }
  const Nanos end = monotonic_now();
  version.observe_cost(rows, end - start, end);
  return end - start;
}

}  // namespace fastserve::engine
