#include "fastserve/engine/workbench.h"

#include <algorithm>

namespace fastserve::engine {

runtime::Runner& Workbench::prepare(Version& version) {
  if (runner == nullptr) {
    runner = version.session().make_runner();
    gathered.resize(version.signature().inputs.size());
    inputs.resize(version.signature().inputs.size());
    const size_t outputs_count = version.signature().outputs.size();
    wanted = std::make_unique<bool[]>(outputs_count);
    outputs.resize(outputs_count);
    scatters.resize(outputs_count);
    lane.set_ranks(version.queue_rules().ranks());
  }
  return *runner;
}

Status Workbench::run(Version& version, const RunningBatch& batch, Timing* timing) {
  const runtime::Signature& signature = version.signature();
  const bool is_alone = batch.members.size() == 1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const runtime::RunInput& first = batch.members.front()->inputs[i];
    inputs[i].shape = first.shape;
    if (is_alone && is_aligned(first.data, dtype_size(signature.inputs[i].dtype))) {
      inputs[i].data = first.data;
      continue;
    }
    pieces.clear();
    for (const Request* request : batch.members) pieces.push_back(request->inputs[i].data);
    batch::gather(pieces, &gathered[i]);
    inputs[i].data = gathered[i].bytes();
    if (!is_alone) inputs[i].shape[0] = batch.rows;
  }

  const size_t outputs_count = outputs.size();
  std::fill_n(wanted.get(), outputs_count, false);
  for (const Request* request : batch.members) {
    if (request->wanted.empty()) {
      std::fill_n(wanted.get(), outputs_count, true);
      break;
    }
    for (uint32_t index : request->wanted) wanted[index] = true;
  }

  timing->gathered = monotonic_now();
  Status status = runner->run(inputs, {wanted.get(), outputs_count}, outputs);
  timing->computed = monotonic_now();
  if (status.ok() && version.reshapes() != nullptr) status = version.reshapes()->to_wire(outputs);
  if (!status.ok() || is_alone) return status;
  for (size_t i = 0; i < outputs_count; ++i) {
    if (!outputs[i].present) continue;
    status = scatters[i].reset(signature.outputs[i].name, outputs[i].dtype, outputs[i].shape,
                               outputs[i].data, batch.rows);
    if (!status.ok()) return status;
  }
  return status;
}

std::span<const TensorView> Workbench::cut(const Version& version, const Request& request,
                                           int64_t first_row, bool whole) {
  const auto& specs = version.signature().outputs;
  reply.clear();
  auto add = [&](size_t index) {
    const runtime::RunOutput& output = outputs[index];
    if (!output.present) return;
    TensorView& view = reply.emplace_back();
    view.name = specs[index].name;
    view.dtype = output.dtype;
    view.shape = output.shape;
    if (whole) {
      view.data = output.data;
    } else {
      view.data = scatters[index].slice(first_row, request.rows);
      view.shape[0] = request.rows;
    }
  };
  if (request.wanted.empty()) {
    for (size_t i = 0; i < specs.size(); ++i) add(i);
  } else {
    for (uint32_t index : request.wanted) add(index);
  }
  return reply;
}

void Workbench::run_apart(Version& version, const RunningBatch& batch, const Timing& timing,
                          StatsShard* stats) {
  for (Request* request : batch.members) {
    const RunningBatch alone{.members = {request},
                             .rows = request->rows,
                             .reason = batch.reason,
                             .runner = nullptr,
                             .live = 1};
    Timing again = timing;
    const Status status = run(version, alone, &again);
    answer(version, alone, status, again, stats);
  }
}

namespace {

// Counted before the first answer is given: whoever has an answer finds it in the statistics.
void count(const RunningBatch& batch, const Status& status, const Timing& timing, StatsShard* stats,
           Exemplars* exemplars) {
  uint64_t answered = 0;
  const Request* slowest = nullptr;  // of those that are answered and have an id
  for (const Request* request : batch.members) {
    const Nanos total = timing.computed - request->arrival;
    if (request->is_abandoned || !status.ok()) {
      const Failure failure = request->is_abandoned ? request->abandoned_as : Failure::kExecution;
      stats->failures[static_cast<size_t>(failure)].add(1);
      stats->failure_ns.add(static_cast<uint64_t>(total));
      continue;
    }
    ++answered;
    if (!request->id.empty() && (slowest == nullptr || request->arrival < slowest->arrival)) {
      slowest = request;
    }
    stats->phases[static_cast<size_t>(Phase::kQueue)].observe(timing.started - request->arrival);
    // Without the reply, which is timed for the whole batch: one clock read, not one per answer.
    stats->phases[static_cast<size_t>(Phase::kTotal)].observe(total);
  }
  if (slowest != nullptr) {
    exemplars->put(timing.computed - slowest->arrival, timing.computed, slowest->id);
  }
  const Nanos input = timing.gathered - timing.started;
  const Nanos compute = timing.computed - timing.gathered;
  if (answered > 0) {
    stats->phases[static_cast<size_t>(Phase::kGather)].observe(input, answered);
    stats->phases[static_cast<size_t>(Phase::kCompute)].observe(compute, answered);
  }
  stats->requests.add(answered);
  stats->executions.add(1);
  stats->releases[static_cast<size_t>(batch.reason)].add(1);
  stats->last_inference.store(timing.computed, std::memory_order_relaxed);
  if (!status.ok()) return;
  stats->rows.add(batch.rows);
  std::lock_guard lock(stats->batches_mutex);
  BatchStats& sum = stats->batches[batch.rows];
  ++sum.executions;
  sum.compute_input_ns += static_cast<uint64_t>(input);
  sum.compute_infer_ns += static_cast<uint64_t>(compute);
}

}  // namespace

void Workbench::answer(Version& version, const RunningBatch& batch, const Status& status,
                       const Timing& timing, StatsShard* stats) {
  const bool is_alone = batch.members.size() == 1;
  if (!status.ok() && !is_alone && status.code() != Code::kCancelled) {
    run_apart(version, batch, timing, stats);
    return;
  }
  count(batch, status, timing, stats, &version.exemplars());
  // Before the first answer: what a request told can be found by whoever has its answer.
  if (tap.has_value() && status.ok()) tap->tell(*this, batch, timing);
  uint64_t answered = 0;
  int64_t row = 0;
  // Members of one batch mostly share one completion; each is flushed once, after its last answer.
  Completion* last = nullptr;
  size_t unflushed = 0;
  for (Request* request : batch.members) {
    Completion* completion = request->completion;
    if (last != nullptr && completion != last) {
      last->flush_completions(unflushed);
      unflushed = 0;
    }
    last = completion;
    ++unflushed;
    const int64_t first_row = row;
    row += request->rows;
    if (request->is_abandoned || !status.ok()) {
      completion->complete(*request, status, {}, timing);
      continue;
    }
    ++answered;
    completion->complete(*request, status, cut(version, *request, first_row, is_alone), timing);
  }
  if (last != nullptr) last->flush_completions(unflushed);
  if (answered == 0) return;

  const Nanos reply = monotonic_now() - timing.computed;
  stats->phases[static_cast<size_t>(Phase::kReply)].observe(reply, answered);
  std::lock_guard lock(stats->batches_mutex);
  stats->batches[batch.rows].compute_output_ns += static_cast<uint64_t>(reply);
}

}  // namespace fastserve::engine
