#include "fastserve/engine/shadow.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "fastserve/base/quoted.h"
#include "fastserve/base/sip_hash.h"
#include "fastserve/engine/capture_queue.h"
#include "fastserve/engine/capture_sample.h"
#include "fastserve/engine/engine.h"
#include "fastserve/engine/shadow_thread.h"

namespace fastserve::engine {
namespace {

// Of each output: its absolute, then its relative differences.
constexpr size_t kFeatures = 2;

Status check(const ShadowOptions& options) {
  if (!(options.share >= 0 && options.share <= 1)) {
    return invalid_argument("share " + std::to_string(options.share) + ": expected 0 to 1");
  }
  if (options.max_bytes == 0) return invalid_argument("max_bytes 0: expected 1 or more");
  for (const double tolerance : {options.tolerance.absolute, options.tolerance.relative}) {
    if (!(tolerance >= 0) || std::isinf(tolerance)) {
      return invalid_argument("tolerance " + std::to_string(tolerance) +
                              ": expected a finite number of 0 or more");
    }
  }
  return ok_status();
}

Result<sketch::TableSchema> make_schema(const runtime::Signature& signature) {
  std::vector<sketch::TensorColumns> tensors;
  for (const runtime::TensorSpec& output : signature.outputs) {
    for (const char* kind : {".absolute", ".relative"}) {
      tensors.push_back(
          {.name = output.name + kind, .is_input = false, .dtype = DType::kFp32, .elements = 1});
    }
  }
  return sketch::TableSchema::make(std::move(tensors));
}

Status differs(std::string what) {
  return {Code::kFailedPrecondition,
          "the candidate's signature is not the live version's: " + std::move(what)};
}

std::string named(const runtime::TensorSpec& spec) {
  return quoted(spec.name) + " " + std::string(dtype_name(spec.dtype)) + spec.shape.to_string();
}

// Whether a tensor of `live`'s shape can always be one of `candidate`'s; with `is_answer`, can be
// at times.
bool is_compatible(const Shape& candidate, const Shape& live, bool is_answer) {
  if (candidate.rank() != live.rank()) return false;
  for (size_t axis = 0; axis < live.rank(); ++axis) {
    if (candidate[axis] == kDynamic || candidate[axis] == live[axis]) continue;
    if (!is_answer || live[axis] != kDynamic) return false;
  }
  return true;
}

// The place of each of `wanted` among `given`, by name.
Status match(const char* kind, const std::vector<runtime::TensorSpec>& wanted, const char* lacks,
             const std::vector<runtime::TensorSpec>& given, std::vector<size_t>* places) {
  for (const runtime::TensorSpec& spec : wanted) {
    const auto found = std::find_if(given.begin(), given.end(),
                                    [&spec](const auto& each) { return each.name == spec.name; });
    if (found == given.end()) {
      return differs(std::string(kind) + " " + named(spec) + ", which the " + lacks +
                     " does not have");
    }
    places->push_back(static_cast<size_t>(found - given.begin()));
  }
  if (given.size() == wanted.size()) return ok_status();
  return differs(std::to_string(given.size()) + " " + kind + "s of the " + lacks + ", expected " +
                 std::to_string(wanted.size()));
}

Status check_pair(const char* kind, const runtime::TensorSpec& candidate,
                  const runtime::TensorSpec& live, bool is_answer) {
  if (candidate.dtype == live.dtype && is_compatible(candidate.shape, live.shape, is_answer)) {
    return ok_status();
  }
  return differs(std::string(kind) + " " + named(candidate) + ", expected " + named(live));
}

}  // namespace

// What of an observation is to be copied.
struct Shadow::Chosen {
  uint32_t rows = 0;
  std::vector<Block> blocks;  // first_row within the observation
};

Result<std::shared_ptr<Shadow>> Shadow::make(Engine& engine, VersionHandle candidate,
                                             const ShadowOptions& options) {
  if (Status status = check(options); !status.ok()) return status;
  Result<sketch::TableSchema> schema = make_schema(candidate->signature());
  if (!schema.ok()) return schema.status();
  std::shared_ptr<Shadow> shadow(new Shadow(engine.shadow_thread(), std::move(candidate), options));
  shadow->schema_ = std::make_shared<const sketch::TableSchema>(std::move(*schema));
  shadow->thread_->add(shadow);
  return shadow;
}

Shadow::Shadow(std::shared_ptr<ShadowThread> thread, VersionHandle candidate, ShadowOptions options)
    : thread_(std::move(thread)),
      candidate_(std::move(candidate)),
      options_(options),
      signature_(candidate_->signature()),
      runner_(candidate_->session().make_runner()),
      outputs_(signature_.outputs.size()),
      comparison_(options.tolerance) {
  for (const runtime::TensorSpec& output : signature_.outputs) {
    total_.names.push_back(output.name);
  }
  total_.outputs.resize(total_.names.size());
}

Shadow::~Shadow() = default;

Result<ShadowMapping> Shadow::map(const Version& live) const {
  const runtime::Signature& ours = signature_;
  const runtime::Signature& theirs = live.signature();
  ShadowMapping mapping{.live_inputs = theirs.inputs.size(),
                        .inputs = {},
                        .outputs = {},
                        .is_divisible = live.config().is_batching,
                        .has_rows_axis = live.config().has_rows_axis};
  if (Status status = match("input", ours.inputs, "live version", theirs.inputs, &mapping.inputs);
      !status.ok()) {
    return status;
  }
  if (Status status = match("output", theirs.outputs, "candidate", ours.outputs, &mapping.outputs);
      !status.ok()) {
    return status;
  }
  for (size_t i = 0; i < ours.inputs.size(); ++i) {
    Status status = check_pair("input", ours.inputs[i], theirs.inputs[mapping.inputs[i]], false);
    if (!status.ok()) return status;
  }
  for (size_t i = 0; i < theirs.outputs.size(); ++i) {
    Status status = check_pair("output", ours.outputs[mapping.outputs[i]], theirs.outputs[i], true);
    if (!status.ok()) return status;
  }
  return mapping;
}

bool Shadow::is_chosen(std::string_view id, uint64_t counter) const {
  if (id.empty()) return is_captured(options_.share, {}, options_.seed, counter);
  if (options_.share >= 1) return true;
  // Keyed, so that another seed, and the capture, choose others.
  return is_within(sip_hash({.low = options_.seed, .high = 0}, id).low, options_.share);
}

void Shadow::choose(const ShadowMapping& mapping, const Observation& observation, Chosen* chosen) {
  const auto add = [&](uint32_t first_row, uint32_t rows, std::string_view id) {
    if (rows == 0 || !is_chosen(id, id.empty() ? counter_++ : 0)) return;
    chosen->rows += rows;
    chosen->blocks.push_back({.first_row = first_row, .rows = rows, .id = std::string(id)});
  };
  if (!mapping.is_divisible) {
    const auto& requests = observation.requests;
    return add(0, mapping.has_rows_axis ? observation.rows : 1,
               requests.empty() ? std::string_view{} : requests.front().id);
  }
  uint32_t row = 0;
  for (const ObservedRequest& request : observation.requests) {
    if (request.id.empty()) continue;
    add(row, request.first_row - row, {});
    add(request.first_row, request.rows, request.id);
    row = request.first_row + request.rows;
  }
  add(row, observation.rows - row, {});
}

// Of rows that are told, at most what they take: fewer may be chosen.
size_t Shadow::bytes_of(const Observation& observation) {
  size_t bytes = sizeof(Job);
  for (const ObservedTensor& tensor : observation.tensors) {
    bytes += sizeof(Tensor) + tensor.data.size();
  }
  return bytes;
}

bool Shadow::has_room(size_t bytes) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  return lock.owns_lock() && bytes <= options_.max_bytes &&
         total_.counts.waiting_bytes <= options_.max_bytes - bytes;
}

void Shadow::offer(const ShadowMapping& mapping, const Observation& observation) {
  // Told once more for its captured request, or for its outputs alone.
  if (is_closed_.load(std::memory_order_relaxed) || !observation.is_sketched ||
      observation.tensors.size() <= mapping.live_inputs ||
      observation.tensors[mapping.live_inputs - 1].index != mapping.live_inputs - 1) {
    return;
  }
  Chosen chosen;
  choose(mapping, observation, &chosen);
  if (chosen.rows == 0) return;
  // Outside of the lock: nobody waits for a large copy.
  Job job;
  if (!has_room(bytes_of(observation)) || !copy(mapping, observation, &chosen, &job) ||
      !put(&job)) {
    rows_without_room_.fetch_add(chosen.rows, std::memory_order_relaxed);
    return;
  }
  thread_->wake();
}

bool Shadow::copy(const ShadowMapping& mapping, const Observation& observation, Chosen* chosen,
                  Job* job) const {
  const bool is_whole = !mapping.is_divisible || chosen->rows == observation.rows;
  job->rows = chosen->rows;
  job->bytes = sizeof(Job);
  bool is_cut = true;
  const auto add = [&](const ObservedTensor& told, DType dtype, size_t index,
                       std::vector<Tensor>* tensors) {
    Tensor& tensor = tensors->emplace_back();
    tensor.index = index;
    tensor.shape = told.shape;
    if (is_whole) {
      tensor.data.assign(told.data.begin(), told.data.end());
    } else {
      const TensorView whole{.name = {}, .dtype = dtype, .shape = told.shape, .data = told.data};
      for (const Block& block : chosen->blocks) {
        ByteSpan part;
        is_cut = is_cut && rows_of(whole, block.first_row, block.rows, &part);
        tensor.data.insert(tensor.data.end(), part.begin(), part.end());
      }
      if (is_cut) tensor.shape[0] = chosen->rows;
    }
    job->bytes += sizeof(Tensor) + tensor.data.size();
  };
  for (size_t i = 0; i < mapping.inputs.size(); ++i) {
    add(observation.tensors[mapping.inputs[i]], signature_.inputs[i].dtype, i, &job->inputs);
  }
  for (const ObservedTensor& told : observation.tensors.subspan(mapping.live_inputs)) {
    const size_t index = mapping.outputs[told.index - mapping.live_inputs];
    add(told, signature_.outputs[index].dtype, index, &job->outputs);
  }
  uint32_t row = 0;
  for (Block& block : chosen->blocks) {
    block.first_row = std::exchange(row, row + block.rows);
    job->bytes += sizeof(Block) + block.id.size();
  }
  job->blocks = std::move(chosen->blocks);
  return is_cut;
}

bool Shadow::put(Job* job) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || is_closed_.load(std::memory_order_relaxed)) return false;
  ShadowCounts& counts = total_.counts;
  counts.offered += job->rows;
  counts.waiting += job->rows;
  counts.waiting_bytes += job->bytes;
  jobs_.push_back(std::move(*job));
  has_work_.store(true, std::memory_order_relaxed);
  return true;
}

void Shadow::run_next() {
  Job job;
  {
    std::lock_guard lock(mutex_);
    if (jobs_.empty()) return;
    job = std::move(jobs_.front());
    jobs_.pop_front();
    has_work_.store(!jobs_.empty(), std::memory_order_relaxed);
  }
  const Nanos start = monotonic_now();
  const Status status = run(job);
  const Nanos took = monotonic_now() - start;
  if (status.ok()) compare(job);
  finish(job, status, took);
}

Status Shadow::run(const Job& job) {
  std::vector<runtime::RunInput> inputs;
  for (const Tensor& tensor : job.inputs) {
    inputs.push_back({.data = tensor.data, .shape = tensor.shape});
  }
  const auto wanted = std::make_unique<bool[]>(outputs_.size());
  for (const Tensor& tensor : job.outputs) wanted[tensor.index] = true;
  return runner_->run(inputs, {wanted.get(), outputs_.size()}, outputs_);
}

void Shadow::compare(const Job& job) {
  tallies_.assign(total_.names.size(), {});
  differences_.clear();
  comparison_.begin(job.rows);
  for (const Tensor& tensor : job.outputs) {
    const runtime::RunOutput& output = outputs_[tensor.index];
    const ShadowOutputView live{.dtype = signature_.outputs[tensor.index].dtype,
                                .shape = tensor.shape,
                                .data = tensor.data};
    const ShadowOutputView given{.dtype = output.dtype, .shape = output.shape, .data = output.data};
    ShadowOutputTally& tally = tallies_[tensor.index];
    comparison_.add(live, output.present ? &given : nullptr, &tally);
    name_examples(job, &tally);
    differences_.emplace_back(tensor.index * kFeatures, comparison_.absolute());
    differences_.emplace_back(tensor.index * kFeatures + 1, comparison_.relative());
  }
  differing_ = comparison_.differing_rows();
}

void Shadow::name_examples(const Job& job, ShadowOutputTally* tally) const {
  for (ShadowExample& example : tally->worst) {
    for (const Block& block : job.blocks) {
      if (example.row < block.first_row || example.row - block.first_row >= block.rows) continue;
      example.row -= block.first_row;
      example.id = block.id;
      break;
    }
  }
}

void Shadow::finish(const Job& job, const Status& status, Nanos took) {
  std::lock_guard lock(mutex_);
  ShadowCounts& counts = total_.counts;
  counts.waiting -= job.rows;
  counts.waiting_bytes -= job.bytes;
  if (counts.waiting == 0) settled_.notify_all();
  if (status.code() == Code::kCancelled && is_closed_.load(std::memory_order_relaxed)) {
    counts.dropped += job.rows;
    return;
  }
  ++counts.runs;
  if (!status.ok()) {
    counts.failed += job.rows;
    ++counts.failed_runs;
    if (!total_.first_error.empty()) return;
    total_.first_error = status.code() == Code::kCancelled
                             ? "a run was ended: it took longer than " +
                                   std::to_string(options_.max_run / kMillisecond) + " ms"
                             : status.message();
    return;
  }
  counts.compared += job.rows;
  counts.differing += differing_;
  counts.run_ns += took;
  for (size_t i = 0; i < tallies_.size(); ++i) total_.outputs[i].merge(tallies_[i]);
  if (!total_.differences.has_value()) total_.differences.emplace(schema_);
  for (const auto& [feature, values] : differences_) {
    // One FP32 element for each row, as the schema says: it cannot be refused.
    (void)total_.differences->add(feature, job.rows, std::as_bytes(std::span(values)));
  }
}

ShadowReport Shadow::report() const {
  std::lock_guard lock(mutex_);
  ShadowReport report = total_;
  const uint64_t without_room = rows_without_room_.load(std::memory_order_relaxed);
  report.counts.offered += without_room;
  report.counts.dropped += without_room;
  return report;
}

bool Shadow::wait(Nanos timeout) const {
  std::unique_lock lock(mutex_);
  return settled_.wait_for(lock, std::chrono::nanoseconds(timeout),
                           [this] { return total_.counts.waiting == 0; });
}

void Shadow::reset() {
  std::lock_guard lock(mutex_);
  const ShadowCounts before = total_.counts;
  total_.counts = {};
  total_.counts.offered = before.waiting;
  total_.counts.waiting = before.waiting;
  total_.counts.waiting_bytes = before.waiting_bytes;
  rows_without_room_.store(0, std::memory_order_relaxed);
  total_.first_error.clear();
  total_.outputs.assign(total_.names.size(), {});
  total_.differences.reset();
}

void Shadow::close() {
  std::deque<Job> jobs;  // destroyed without the lock
  {
    std::lock_guard lock(mutex_);
    is_closed_.store(true, std::memory_order_relaxed);
    jobs.swap(jobs_);
    has_work_.store(false, std::memory_order_relaxed);
    for (const Job& job : jobs) {
      total_.counts.dropped += job.rows;
      total_.counts.waiting -= job.rows;
      total_.counts.waiting_bytes -= job.bytes;
    }
    settled_.notify_all();
  }
  thread_->remove(this);
  VersionHandle candidate;  // let go of without the lock
  std::unique_ptr<runtime::Runner> runner;
  std::lock_guard lock(mutex_);
  std::swap(candidate, candidate_);
  std::swap(runner, runner_);
}

}  // namespace fastserve::engine
