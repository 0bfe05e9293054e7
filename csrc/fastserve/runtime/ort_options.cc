#include "fastserve/runtime/ort_options.h"

#include <string_view>

#include "fastserve/runtime/ort_error.h"

namespace fastserve::runtime {
namespace {

// "CUDAExecutionProvider" -> "CUDA", "XnnpackExecutionProvider" -> "XNNPACK": the C API appends
// providers by short name, while people and available_providers() use the long one.
std::string_view short_name(std::string_view provider) {
  constexpr std::string_view kSuffix = "ExecutionProvider";
  if (provider.ends_with(kSuffix)) provider.remove_suffix(kSuffix.size());
  return provider == "Xnnpack" ? "XNNPACK" : provider;
}

OrtStatus* append_cuda(const OrtApi& api, OrtSessionOptions* options,
                       const std::vector<const char*>& keys,
                       const std::vector<const char*>& values) {
  OrtCudaOptions* raw = nullptr;
  if (OrtStatus* error = api.CreateCudaOptions(&raw)) return error;
  OrtHandle<OrtCudaOptions> cuda(raw, api.ReleaseCudaOptions);
  if (!keys.empty()) {
    if (OrtStatus* error =
            api.UpdateCudaOptions(cuda.get(), keys.data(), values.data(), keys.size())) {
      return error;
    }
  }
  return api.AppendCuda(options, cuda.get());
}

Status append_provider(const OrtLibrary& library, OrtSessionOptions* options,
                       const ProviderOptions& provider) {
  const OrtApi& api = library.api();
  std::string name(short_name(provider.name));
  if (name == "CPU") return {};  // always there, and last
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : provider.options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  OrtStatus* error = name == "CUDA" ? append_cuda(api, options, keys, values)
                                    : api.AppendProvider(options, name.c_str(), keys.data(),
                                                         values.data(), keys.size());
  if (error == nullptr) return {};
  std::string available;
  for (const std::string& one : library.available_providers()) {
    available += (available.empty() ? "" : ", ") + one;
  }
  return take_error(api, error, Code::kFailedPrecondition,
                    "execution provider '" + provider.name +
                        "' cannot be used (this ONNX Runtime has " + available + ")");
}

}  // namespace

Result<OrtHandle<OrtSessionOptions>> make_session_options(const OrtLibrary& library,
                                                          const SessionOptions& options,
                                                          const std::string& log_id) {
  const OrtApi& api = library.api();
  OrtSessionOptions* raw = nullptr;
  if (OrtStatus* error = api.CreateSessionOptions(&raw)) {
    return take_error(api, error, Code::kInternal, "no session options");
  }
  OrtHandle<OrtSessionOptions> made(raw, api.ReleaseSessionOptions);

  Status status;
  auto set = [&](std::string_view setting, OrtStatus* error) {
    if (error == nullptr) return;
    Status refused = take_error(api, error, Code::kInvalidArgument,
                                "session option " + std::string(setting) + " was refused");
    if (status.ok()) status = std::move(refused);
  };
  auto set_entry = [&](const std::string& key, const std::string& value) {
    set("'" + key + "' = '" + value + "'",
        api.AddSessionConfigEntry(raw, key.c_str(), value.c_str()));
  };
  set("log id", api.SetSessionLogId(raw, log_id.c_str()));
  // A session's errors are returned; logging them too would let a client fill the log.
  set("log severity", api.SetSessionLogSeverityLevel(raw, kOrtFatal));
  set("intra-op threads", api.SetIntraOpNumThreads(raw, options.intra_op_threads));
  set("inter-op threads", api.SetInterOpNumThreads(raw, options.inter_op_threads));
  set("execution mode", api.SetSessionExecutionMode(raw, options.inter_op_threads > 1 ? 1 : 0));
  set("optimization level", api.SetSessionGraphOptimizationLevel(raw, options.optimization_level));
  set("memory pattern",
      options.memory_pattern ? api.EnableMemPattern(raw) : api.DisableMemPattern(raw));
  set("CPU arena", options.cpu_arena ? api.EnableCpuMemArena(raw) : api.DisableCpuMemArena(raw));
  const char* spinning = options.allow_spinning ? "1" : "0";
  set_entry("session.intra_op.allow_spinning", spinning);
  set_entry("session.inter_op.allow_spinning", spinning);
  for (const auto& [key, value] : options.config_entries) set_entry(key, value);
  if (!status.ok()) return status;
  for (const ProviderOptions& provider : options.providers) {
    status = append_provider(library, raw, provider);
    if (!status.ok()) return status;
  }
  return made;
}

}  // namespace fastserve::runtime
