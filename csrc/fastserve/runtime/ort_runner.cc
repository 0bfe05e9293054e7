#include "fastserve/runtime/ort_runner.h"

#include "fastserve/runtime/ort_error.h"

namespace fastserve::runtime {

OrtRunner::OrtRunner(std::shared_ptr<OrtSessionOwner> session)
    : session_(std::move(session)), api_(session_->library().api()) {
  OrtRunOptions* options = nullptr;
  if (OrtStatus* error = api_.CreateRunOptions(&options)) {
    // Runs go without options then: they work, and cannot be terminated.
    api_.ReleaseStatus(error);
  }
  options_ = {options, api_.ReleaseRunOptions};
  const Signature& signature = session_->signature();
  inputs_.reserve(signature.inputs.size());
  for (const TensorSpec& spec : signature.inputs) {
    inputs_.emplace_back(session_->library(), spec);
    input_names_.push_back(spec.name.c_str());
  }
  input_values_.resize(inputs_.size());
  outputs_.reserve(signature.outputs.size());
  for (size_t i = 0; i < signature.outputs.size(); ++i) {
    outputs_.emplace_back(session_->library(), signature, i);
  }
  wanted_.resize(outputs_.size());
  wanted_names_.resize(outputs_.size());
  wanted_values_.resize(outputs_.size());
}

Status OrtRunner::run(std::span<const RunInput> inputs, std::span<const bool> wanted,
                      std::span<RunOutput> outputs) {
  if (inputs.size() != inputs_.size() || wanted.size() != outputs_.size() ||
      outputs.size() != outputs_.size()) {
    return {Code::kInternal, "a run of " + std::to_string(inputs.size()) + " inputs and " +
                                 std::to_string(outputs.size()) + " outputs, expected " +
                                 std::to_string(inputs_.size()) + " and " +
                                 std::to_string(outputs_.size())};
  }
  size_t count = 0;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    outputs[i] = {};
    // Also those not wanted: no value of an earlier run may hold on to memory.
    OrtValue* value = outputs_[i].prepare(inputs);
    if (!wanted[i]) continue;
    wanted_[count] = i;
    wanted_names_[count] = session_->signature().outputs[i].name.c_str();
    wanted_values_[count] = value;
    ++count;
  }
  for (size_t i = 0; i < inputs_.size(); ++i) {
    Status status = inputs_[i].prepare(inputs[i], &input_values_[i]);
    if (!status.ok()) return status;
  }
  if (count == 0) return {};
  Status status = execute(count);
  if (!status.ok()) return status;
  for (size_t i = 0; i < count; ++i) {
    size_t index = wanted_[i];
    Status read = outputs_[index].read(wanted_values_[i], inputs_, &outputs[index]);
    // Every value must be taken, also behind one that could not be read.
    if (!read.ok() && status.ok()) status = std::move(read);
  }
  return status;
}

OrtStatus* OrtRunner::call(size_t wanted_count) {
  return api_.Run(session_->get(), options_.get(), input_names_.data(), input_values_.data(),
                  input_values_.size(), wanted_names_.data(), wanted_count, wanted_values_.data());
}

Status OrtRunner::execute(size_t wanted_count) {
  state_.store(State::kRunning, std::memory_order_seq_cst);
  OrtStatus* error = call(wanted_count);
  if (error != nullptr && state_.load(std::memory_order_relaxed) == State::kRunning) {
    bool is_predicted = false;
    for (size_t i = 0; i < wanted_count; ++i) is_predicted |= wanted_values_[i] != nullptr;
    if (is_predicted) {
      // An output may have another shape than before for the same rows (it depends on the data).
      // Let ONNX Runtime allocate; when that works, the prediction was what failed.
      api_.ReleaseStatus(error);
      for (size_t i = 0; i < wanted_count; ++i) wanted_values_[i] = nullptr;
      error = call(wanted_count);
      if (error == nullptr) {
        for (size_t i = 0; i < wanted_count; ++i) outputs_[wanted_[i]].stop_predicting();
      }
    }
  }
  bool is_terminated = finish();
  if (error == nullptr) return {};
  if (is_terminated) {
    api_.ReleaseStatus(error);
    return {Code::kCancelled, "the run was cancelled"};
  }
  return take_error(api_, error, Code::kInternal, "");
}

bool OrtRunner::finish() {
  if (state_.exchange(State::kIdle, std::memory_order_seq_cst) != State::kTerminating) return false;
  std::lock_guard lock(terminate_mutex_);
  if (OrtStatus* error = api_.RunOptionsUnsetTerminate(options_.get())) api_.ReleaseStatus(error);
  return true;
}

void OrtRunner::terminate() {
  std::lock_guard lock(terminate_mutex_);
  State expected = State::kRunning;
  if (!options_ || !state_.compare_exchange_strong(expected, State::kTerminating)) return;
  if (OrtStatus* error = api_.RunOptionsSetTerminate(options_.get())) api_.ReleaseStatus(error);
}

}  // namespace fastserve::runtime
