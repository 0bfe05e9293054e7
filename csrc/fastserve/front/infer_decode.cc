#include "fastserve/front/infer_decode.h"

#include <limits>
#include <span>
#include <string>

#include "fastserve/base/quoted.h"
#include "fastserve/engine/contract.h"
#include "fastserve/engine/input_check.h"
#include "fastserve/front/route_request.h"
#include "fastserve/runtime/signature.h"

namespace fastserve::front {
namespace {

using engine::Version;
using wire::InferRequestView;
using wire::InputView;
using wire::Parameter;

constexpr wire::RequestLimits kLimits;
constexpr size_t kArenaAlign = 16;

std::string for_model(const Version& version) {
  return " for model '" + version.config().model + "'";
}

std::span<const Parameter> parameters_of(const InferRequestView& view,
                                         const wire::ParameterRange& range) {
  return {view.parameters_pool.data() + range.begin, range.count};
}

Status wrong_kind(const Parameter& parameter, const char* expected) {
  return invalid_argument("parameter " + quoted(parameter.key) + " must be " + expected);
}

// Sequence parameters and names that the protocol leaves to models are accepted and ignored, as
// Triton does for models without state.
Status apply_request_parameters(const InferRequestView& view, InferCall* infer) {
  for (const Parameter& parameter : parameters_of(view, view.parameters)) {
    if (parameter.key == "timeout") {
      if (parameter.kind != Parameter::Kind::kInt64 || parameter.as_int64 < 0) {
        return wrong_kind(parameter, "a non-negative int64_param, in microseconds");
      }
      constexpr int64_t kLongest = std::numeric_limits<int64_t>::max() / 4 / kMicrosecond;
      if (parameter.as_int64 <= kLongest) infer->asked_timeout = parameter.as_int64 * kMicrosecond;
    } else if (parameter.key == "priority") {
      uint64_t priority = 0;
      if (parameter.kind == Parameter::Kind::kUint64) {
        priority = parameter.as_uint64;
      } else if (parameter.kind == Parameter::Kind::kInt64 && parameter.as_int64 >= 0) {
        priority = static_cast<uint64_t>(parameter.as_int64);
      } else {
        return wrong_kind(parameter, "a uint64_param or a non-negative int64_param");
      }
      constexpr uint64_t kLowest = std::numeric_limits<uint32_t>::max();
      infer->asked_priority = static_cast<uint32_t>(priority < kLowest ? priority : kLowest);
    } else if (parameter.key.starts_with("triton_") &&
               parameter.key != "triton_enable_empty_final_response") {
      return invalid_argument("parameter " + quoted(parameter.key) +
                              " is reserved: names that start with 'triton_' have a meaning for "
                              "Triton only; leave it out or rename it");
    }
  }
  return ok_status();
}

Status check_tensor_parameters(const InferRequestView& view, const wire::ParameterRange& range,
                               const char* what, std::string_view name) {
  for (const Parameter& parameter : parameters_of(view, range)) {
    if (parameter.key.starts_with("shared_memory_")) {
      return {Code::kUnimplemented, std::string(what) + " " + quoted(name) +
                                        ": shared memory is not supported; send the data in "
                                        "raw_input_contents"};
    }
    if (parameter.key == "classification") {
      return {Code::kUnimplemented, std::string(what) + " " + quoted(name) +
                                        ": the classification extension is not supported; rank "
                                        "the returned scores on the client"};
    }
  }
  return ok_status();
}

Status wrong_input_count(const Version& version, const InferRequestView& view) {
  const auto& specs = version.wire().inputs;
  std::string got;
  for (size_t i = 0; i < view.inputs.size() && i < specs.size() + 4; ++i) {
    if (!got.empty()) got += ',';
    got += quoted(view.inputs[i].name);
  }
  std::string missing;
  for (const auto& spec : specs) {
    bool is_there = false;
    for (const InputView& input : view.inputs) is_there = is_there || input.name == spec.name;
    if (is_there) continue;
    if (!missing.empty()) missing += ',';
    missing += quoted(spec.name);
  }
  std::string message = "expected " + std::to_string(specs.size()) + " inputs but got " +
                        std::to_string(view.inputs.size()) + " inputs" + for_model(version) +
                        ". Got input(s) [" + got + "]";
  if (!missing.empty()) message += ", but missing required input(s) [" + missing + "]";
  return invalid_argument(std::move(message));
}

// One input's data into infer->inputs[index]. Typed contents are only sized here: *typed_bytes
// grows by what they need in the arena.
Status check_data(const Version& version, const InferRequestView& view, const InputView& input,
                  size_t raw_index, size_t index, InferCall* infer, size_t* typed_bytes) {
  runtime::RunInput& run_input = infer->inputs[index];
  engine::InputSize size;
  if (!engine::count(input.shape, input.dtype, &size)) {
    return engine::too_many_elements(version, index, input.shape);
  }
  run_input.shape = input.shape;
  if (version.reshapes() != nullptr) version.reshapes()->to_graph(index, &run_input.shape);
  if (infer->is_typed) {
    wire::ContentsKind kind = wire::ContentsKind::kNone;
    int64_t held = 0;
    size_t raw_bytes = 0;
    if (Status status = wire::count_contents(view, input, &kind, &held, &raw_bytes); !status.ok()) {
      return status;
    }
    if (held != size.elements) {
      if (held == 0) {
        return invalid_argument("unable to find data for input tensor " + quoted(input.name) +
                                for_model(version) + " in request");
      }
      return invalid_argument("input " + quoted(input.name) + for_model(version) + " has shape " +
                              input.shape.to_string() + ", that is " +
                              std::to_string(size.elements) + " elements, but its contents hold " +
                              std::to_string(held));
    }
    *typed_bytes += (raw_bytes + kArenaAlign - 1) / kArenaAlign * kArenaAlign;
    // The size is known and the place is not yet; see copy_typed.
    run_input.data = ByteSpan(static_cast<const std::byte*>(nullptr), raw_bytes);
    return ok_status();
  }
  if (raw_index >= view.raw_inputs.size()) {
    return invalid_argument("unable to find data for input tensor " + quoted(input.name) +
                            for_model(version) + " in request");
  }
  run_input.data = view.raw_inputs[raw_index];
  return engine::check_raw_data(version, index, size, run_input.data);
}

Status copy_typed(const Version& version, const InferRequestView& view, size_t typed_bytes,
                  InferCall* infer) {
  infer->arena.clear();
  std::byte* place = infer->arena.extend(typed_bytes);
  for (const InputView& input : view.inputs) {
    runtime::RunInput& run_input =
        infer->inputs[static_cast<size_t>(version.input_index(input.name))];
    const MutableByteSpan out(place, run_input.data.size());
    if (Status status = wire::copy_contents(view, input, out); !status.ok()) return status;
    run_input.data = out;
    place += (out.size() + kArenaAlign - 1) / kArenaAlign * kArenaAlign;
  }
  return ok_status();
}

Status read_rows(const Version& version, const InferRequestView& view, InferCall* infer) {
  const engine::VersionConfig& config = version.config();
  if (!config.has_rows_axis) {
    infer->rows = 1;
    return ok_status();
  }
  if (view.inputs.empty()) {
    infer->rows = 1;
    return ok_status();
  }
  const int64_t rows = view.inputs.front().shape[0];
  for (const InputView& input : view.inputs) {
    if (input.shape[0] == rows) continue;
    return engine::unequal_rows(version, input.name, input.shape[0], view.inputs.front().name,
                                rows);
  }
  if (rows > version.max_request_rows()) {
    return invalid_argument(
        "inference request batch-size must be <= " + std::to_string(version.max_request_rows()) +
        for_model(version) + ", got " + std::to_string(rows));
  }
  // Rows without data cost a client nothing and the model memory.
  if (rows > config.max_rows && static_cast<uint64_t>(rows) > infer->bytes) {
    return invalid_argument("input " + quoted(view.inputs.front().name) + for_model(version) +
                            " claims " + std::to_string(rows) + " rows in a request of " +
                            std::to_string(infer->bytes) + " bytes");
  }
  infer->rows = static_cast<uint32_t>(rows);
  return ok_status();
}

Status read_inputs(const Version& version, const InferRequestView& view, InferCall* infer) {
  const auto& specs = version.wire().inputs;
  if (view.inputs.size() != specs.size()) return wrong_input_count(version, view);
  infer->inputs.assign(specs.size(), {});
  uint64_t seen = 0;
  size_t raw_index = 0;
  size_t typed_bytes = 0;
  bool has_contents = false;
  for (const InputView& input : view.inputs) has_contents = has_contents || input.has_contents;
  if (has_contents && !view.raw_inputs.empty()) {
    return invalid_argument("contents field must not be specified when using raw_input_contents" +
                            for_model(version));
  }
  infer->is_typed = has_contents;
  infer->arena.clear();
  for (const InputView& input : view.inputs) {
    const int found = version.input_index(input.name);
    if (found < 0) {
      return invalid_argument("unexpected inference input " + quoted(input.name) +
                              for_model(version));
    }
    const auto index = static_cast<size_t>(found);
    // The parser bounds the number of inputs; beyond 64 a duplicate shows as a missing input below.
    if (index < 64) {
      if ((seen >> index & 1) != 0) {
        return invalid_argument("input " + quoted(input.name) + " is given twice" +
                                for_model(version));
      }
      seen |= uint64_t{1} << index;
    }
    const runtime::TensorSpec& spec = specs[index];
    if (input.dtype != spec.dtype) {
      return invalid_argument("inference input " + quoted(input.name) + " data-type is " +
                              quoted(input.datatype) + ", but model '" + version.config().model +
                              "' expects '" + std::string(dtype_name(spec.dtype)) + "'");
    }
    if (Status status = check_tensor_parameters(view, input.parameters, "input", input.name);
        !status.ok()) {
      return status;
    }
    if (input.rank_too_large || !engine::fits(input.shape, spec.shape)) {
      return engine::wrong_shape(version, index,
                                 input.rank_too_large
                                     ? "more than " + std::to_string(kMaxRank) + " dimensions"
                                     : input.shape.to_string());
    }
    if (Status status = check_data(version, view, input, raw_index++, index, infer, &typed_bytes);
        !status.ok()) {
      return status;
    }
  }
  if (!has_contents && view.raw_inputs.size() != view.inputs.size()) {
    return invalid_argument("expected " + std::to_string(view.inputs.size()) +
                            " raw_input_contents" + for_model(version) +
                            ", one for each input, got " + std::to_string(view.raw_inputs.size()));
  }
  if (specs.size() > 64) {
    for (const auto& spec : specs) {
      bool is_there = false;
      for (const InputView& input : view.inputs) is_there = is_there || input.name == spec.name;
      if (!is_there) return wrong_input_count(version, view);
    }
  }
  return infer->is_typed ? copy_typed(version, view, typed_bytes, infer) : ok_status();
}

Status read_outputs(const Version& version, const InferRequestView& view, InferCall* infer) {
  infer->wanted.clear();
  for (const wire::OutputView& output : view.outputs) {
    const int index = version.output_index(output.name);
    if (index < 0) {
      return invalid_argument("unexpected inference output " + quoted(output.name) +
                              for_model(version));
    }
    if (Status status = check_tensor_parameters(view, output.parameters, "output", output.name);
        !status.ok()) {
      return status;
    }
    for (const uint32_t earlier : infer->wanted) {
      if (earlier == static_cast<uint32_t>(index)) {
        return invalid_argument("output " + quoted(output.name) + " is asked for twice" +
                                for_model(version));
      }
    }
    infer->wanted.push_back(static_cast<uint32_t>(index));
  }
  return ok_status();
}

Status read_all(const Version& version, const InferRequestView& view, InferCall* infer) {
  if (Status status = apply_request_parameters(view, infer); !status.ok()) return status;
  if (Status status = read_inputs(version, view, infer); !status.ok()) return status;
  if (Status status = read_rows(version, view, infer); !status.ok()) return status;
  if (Status status = read_outputs(version, view, infer); !status.ok()) return status;
  return version.contract() == nullptr ? ok_status() : version.contract()->check(infer->inputs);
}

}  // namespace

Status decode_infer(const engine::ModelSet& models, size_t writer, wire::InferRequestView* scratch,
                    InferCall* infer) {
  Status status = wire::parse_infer_request(infer->message.bytes(), kLimits, scratch);
  if (!status.ok()) return status;
  infer->id = scratch->id;
  if (infer->record != nullptr) infer->record->model.assign(scratch->model_name);
  const Result<engine::FoundVersion> found = models.find(
      scratch->model_name, scratch->model_version, RouteRequest(*infer, *scratch), writer);
  if (!found.ok()) {
    status = found.status();
  } else if (Version* version = found.value().version; version != nullptr) {
    infer->version = engine::VersionHandle(version);
    if (found.value().route != nullptr) {
      infer->route = found.value().route->description(found.value().reason);
    }
    infer->bytes = infer->message.size();
    status = read_all(*version, *scratch, infer);
    infer->bytes += infer->arena.size();
  }
  if (status.ok() || infer->id.empty()) return status;
  return {status.code(), "[request id: " + quoted(infer->id) + "] " + status.message()};
}

}  // namespace fastserve::front
