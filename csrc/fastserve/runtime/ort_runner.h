// The Runner behind its interface.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "fastserve/runtime/input_value.h"
#include "fastserve/runtime/ort_session.h"
#include "fastserve/runtime/output_value.h"

namespace fastserve::runtime {

class OrtRunner final : public Runner {
 public:
  explicit OrtRunner(std::shared_ptr<OrtSessionOwner> session);

  Status run(std::span<const RunInput> inputs, std::span<const bool> wanted,
             std::span<RunOutput> outputs) override;
  void terminate() override;

 private:
  // kIdle -> kRunning -> kIdle by run(); kRunning -> kTerminating by terminate(), then -> kIdle by
  // run(), which clears ONNX Runtime's flag.
  enum class State : int { kIdle, kRunning, kTerminating };

  Status execute(size_t wanted_count);
  OrtStatus* call(size_t wanted_count);
  // Ends the run; true when terminate() came during it.
  bool finish();

  const std::shared_ptr<OrtSessionOwner> session_;
  const OrtApi& api_;
  OrtHandle<OrtRunOptions> options_;

  std::vector<InputValue> inputs_;
  std::vector<const char*> input_names_;
  std::vector<OrtValue*> input_values_;

  std::vector<OutputValue> outputs_;
  // The wanted outputs of the run in progress, packed.
  std::vector<size_t> wanted_;
  std::vector<const char*> wanted_names_;
  std::vector<OrtValue*> wanted_values_;

  std::atomic<State> state_{State::kIdle};
  std::mutex terminate_mutex_;  // held while ONNX Runtime's flag changes
};

}  // namespace fastserve::runtime
