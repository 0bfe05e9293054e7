#include "fastserve/engine/tap.h"

#include "fastserve/engine/workbench.h"

namespace fastserve::engine {
namespace {

template <typename Tensor>
size_t bytes_of(const std::vector<Tensor>& tensors) {
  size_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += tensor.data.size();
  return bytes;
}

}  // namespace

void Tap::tell(const Workbench& bench, const RunningBatch& batch, const Timing& timing) {
  list_requests(batch);
  Observation observation{.started = timing.started,
                          .gathered = timing.gathered,
                          .computed = timing.computed,
                          .rows = batch.rows,
                          .requests = requests_,
                          .tensors = {}};
  const size_t limit = observer_->options().block_bytes / 2;
  const size_t outputs_bytes = bytes_of(bench.outputs);
  if (bytes_of(bench.inputs) + outputs_bytes > limit) {
    tell_large(bench, batch, outputs_bytes <= limit, observation);
    return;
  }
  tensors_.clear();
  uint32_t index = 0;
  for (const runtime::RunInput& input : bench.inputs) {
    tensors_.push_back({.index = index++, .shape = input.shape, .data = input.data});
  }
  list_outputs(bench);
  observation.tensors = tensors_;
  if (!observer_->tell(writer_, sink_number_, observation)) sink_->skip(batch.rows, captured_);
}

void Tap::list_requests(const RunningBatch& batch) {
  requests_.clear();
  members_.clear();
  captured_ = 0;
  uint32_t row = 0;
  for (size_t i = 0; i < batch.members.size(); ++i) {
    const Request& request = *batch.members[i];
    const bool is_captured = sink_->is_chosen(request.id);
    if (is_captured || !request.id.empty()) {
      captured_ += is_captured ? 1 : 0;
      requests_.push_back({.first_row = row,
                           .rows = request.rows,
                           .is_captured = is_captured,
                           .arrival = request.arrival,
                           .id = request.id});
      members_.push_back(i);
    }
    row += request.rows;
  }
}

void Tap::list_outputs(const Workbench& bench) {
  auto index = static_cast<uint32_t>(bench.inputs.size());
  for (const runtime::RunOutput& output : bench.outputs) {
    if (output.present) {
      tensors_.push_back({.index = index, .shape = output.shape, .data = output.data});
    }
    ++index;
  }
}

void Tap::tell_large(const Workbench& bench, const RunningBatch& batch, bool has_small_outputs,
                     Observation observation) {
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i].is_captured) continue;
    Observation captured = observation;
    captured.is_sketched = false;
    captured.requests = {&requests_[i], 1};
    if (!tell_member(bench, batch, members_[i], captured)) sink_->skip(0, 1);
    requests_[i].is_captured = false;
  }
  const size_t member = turn_++ % batch.members.size();
  Observation sample = observation;
  sample.requests = {};
  sample.are_outputs_sketched = !has_small_outputs;
  const bool is_told = tell_member(bench, batch, member, sample);
  const uint32_t told_rows = is_told ? batch.members[member]->rows : 0;
  if (told_rows < batch.rows) sink_->skip(batch.rows - told_rows, 0);
  if (!has_small_outputs) return;
  tensors_.clear();
  list_outputs(bench);
  observation.tensors = tensors_;
  // What the sample did not count as skipped is not counted here either: rows are counted once, by
  // their inputs.
  observer_->tell(writer_, sink_number_, observation);
}

bool Tap::tell_member(const Workbench& bench, const RunningBatch& batch, size_t member,
                      Observation observation) {
  const Request& request = *batch.members[member];
  uint32_t first_row = 0;
  for (size_t i = 0; i < member; ++i) first_row += batch.members[i]->rows;
  ObservedRequest alone;
  if (!observation.requests.empty()) {
    alone = observation.requests.front();
    alone.first_row = 0;
    observation.requests = {&alone, 1};
  }
  tensors_.clear();
  uint32_t index = 0;
  for (const runtime::RunInput& input : request.inputs) {
    tensors_.push_back({.index = index++, .shape = input.shape, .data = input.data});
  }
  list_outputs(bench);
  if (batch.members.size() > 1) {
    for (ObservedTensor& tensor : tensors_) {
      if (tensor.index < bench.inputs.size()) continue;
      tensor.shape[0] = request.rows;
      tensor.data =
          bench.scatters[tensor.index - bench.inputs.size()].slice(first_row, request.rows);
    }
  }
  observation.rows = request.rows;
  observation.tensors = tensors_;
  return observer_->may_copy(ObservationBlock::record_bytes(observation), observation.computed) &&
         observer_->tell(writer_, sink_number_, observation);
}

}  // namespace fastserve::engine
