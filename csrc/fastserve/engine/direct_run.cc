#include "fastserve/engine/direct_run.h"

#include <algorithm>
#include <memory>
#include <string>

#include "fastserve/base/clock.h"
#include "fastserve/engine/input_check.h"

namespace fastserve::engine {
namespace {

Status check_inputs(const Version& version, std::span<const runtime::RunInput> inputs) {
  const auto& specs = version.wire().inputs;
  if (inputs.size() != specs.size()) {
    return invalid_argument("expected " + std::to_string(specs.size()) + " inputs but got " +
                            std::to_string(inputs.size()) + " inputs for model '" +
                            version.config().model + "'");
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Shape& shape = inputs[i].shape;
    if (!fits(shape, specs[i].shape)) return wrong_shape(version, i, shape.to_string());
    InputSize size;
    if (!count(shape, specs[i].dtype, &size)) return too_many_elements(version, i, shape);
    if (Status status = check_raw_data(version, i, size, inputs[i].data); !status.ok()) {
      return status;
    }
    if (version.config().has_rows_axis && shape[0] != inputs[0].shape[0]) {
      return unequal_rows(version, specs[i].name, shape[0], specs[0].name, inputs[0].shape[0]);
    }
  }
  return ok_status();
}

}  // namespace

Result<std::vector<OwnedTensor>> run_directly(Version& version,
                                              std::span<const runtime::RunInput> inputs) {
  if (Status status = check_inputs(version, inputs); !status.ok()) return status;
  const Reshapes* reshapes = version.reshapes();
  std::vector<runtime::RunInput> graph_inputs(inputs.begin(), inputs.end());
  std::vector<Buffer> aligned(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (reshapes != nullptr) reshapes->to_graph(i, &graph_inputs[i].shape);
    if (is_aligned(inputs[i].data, dtype_size(version.signature().inputs[i].dtype))) continue;
    aligned[i].append(inputs[i].data);
    graph_inputs[i].data = aligned[i].bytes();
  }

  const size_t count = version.signature().outputs.size();
  std::vector<runtime::RunOutput> outputs(count);
  const auto wanted = std::make_unique<bool[]>(count);
  std::fill_n(wanted.get(), count, true);
  const auto runner = version.session().make_runner();
  const Nanos start = monotonic_now();
  Status status = runner->run(graph_inputs, {wanted.get(), count}, outputs);
  const Nanos end = monotonic_now();
  if (!status.ok()) return status;
  if (version.config().has_rows_axis && !inputs.empty()) {
    const int64_t rows = std::min<int64_t>(inputs[0].shape[0], UINT32_MAX);
    version.observe_cost(static_cast<uint32_t>(rows), end - start, end);
  }
  if (reshapes != nullptr) status = reshapes->to_wire(outputs);
  if (!status.ok()) return status;

  std::vector<OwnedTensor> answer(count);
  for (size_t i = 0; i < count; ++i) {
    answer[i].present = outputs[i].present;
    answer[i].dtype = outputs[i].dtype;
    answer[i].shape = outputs[i].shape;
    answer[i].data.append(outputs[i].data);
  }
  return answer;
}

}  // namespace fastserve::engine
