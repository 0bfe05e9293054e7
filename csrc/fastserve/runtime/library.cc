#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "fastserve/runtime/ort_error.h"
#include "fastserve/runtime/ort_library.h"

namespace fastserve::runtime {
namespace {

// What the environment has to say that no call returns; sessions log at kOrtFatal only, since their
// errors come back as statuses.
void log_to_stderr(void* /*param*/, int severity, const char* /*category*/, const char* log_id,
                   const char* /*location*/, const char* message) {
  if (severity < kOrtError) return;
  std::string line = "onnxruntime";
  if (log_id != nullptr && *log_id != '\0') line += std::string("[") + log_id + "]";
  line += ": " + tidy_reason(message == nullptr ? "" : message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

Status unusable(const std::string& path, const std::string& reason) {
  return {Code::kFailedPrecondition, "cannot use ONNX Runtime at '" + path + "': " + reason +
                                         "; install it with: pip install 'onnxruntime>=1.20'"};
}

}  // namespace

Result<std::shared_ptr<Library>> Library::open(const std::string& path) {
  return OrtLibrary::open(path);
}

Result<std::shared_ptr<Library>> OrtLibrary::open(const std::string& path) {
  // Since 1.31 the wheel's library would report sessions and models to its makers, from a thread of
  // its own. It looks once, when the environment is made; whoever set the variable has decided.
  setenv("ORT_DISABLE_TELEMETRY", "1", /*overwrite=*/0);
  // Never closed: its threads and thread-local destructors may outlive the last session.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* reason = dlerror();
    return unusable(path, reason == nullptr ? "it cannot be opened" : reason);
  }
  auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) {
    dlclose(library);
    return unusable(path, "it has no OrtGetApiBase, so it is not ONNX Runtime");
  }
  const OrtApiBase* base = get_base();
  const void* const* table = base->GetApi(kOrtApiVersion);
  if (table == nullptr) {
    return unusable(path, std::string("it is version ") + base->GetVersionString() +
                              ", at least 1." + std::to_string(kOrtApiVersion) + " is needed");
  }
  auto opened = std::make_shared<OrtLibrary>(table);
  opened->version_ = base->GetVersionString();
  Status status = opened->start();
  if (!status.ok()) return unusable(path, status.message());
  return std::shared_ptr<Library>(std::move(opened));
}

Status OrtLibrary::start() {
  OrtEnv* env = nullptr;
  if (OrtStatus* error =
          api_.CreateEnvWithCustomLogger(&log_to_stderr, nullptr, kOrtError, "fastserve", &env)) {
    return take_error(api_, error, Code::kFailedPrecondition, "no environment");
  }
  env_ = {env, api_.ReleaseEnv};
  OrtMemoryInfo* cpu = nullptr;
  if (OrtStatus* error = api_.CreateCpuMemoryInfo(/*device allocator*/ 0, /*default*/ 0, &cpu)) {
    return take_error(api_, error, Code::kFailedPrecondition, "no memory description");
  }
  cpu_ = {cpu, api_.ReleaseMemoryInfo};
  if (OrtStatus* error = api_.GetAllocatorWithDefaultOptions(&allocator_)) {
    return take_error(api_, error, Code::kFailedPrecondition, "no allocator");
  }
  return {};
}

std::vector<std::string> OrtLibrary::available_providers() const {
  std::vector<std::string> providers;
  char** names = nullptr;
  int count = 0;
  if (OrtStatus* error = api_.GetAvailableProviders(&names, &count)) {
    api_.ReleaseStatus(error);
    return providers;
  }
  for (int i = 0; i < count; ++i) providers.emplace_back(names[i]);
  if (OrtStatus* error = api_.ReleaseAvailableProviders(names, count)) api_.ReleaseStatus(error);
  return providers;
}

std::string OrtLibrary::take_text(char* text) const {
  if (text == nullptr) return {};
  std::string copy(text);
  if (OrtStatus* error = api_.AllocatorFree(allocator_, text)) api_.ReleaseStatus(error);
  return copy;
}

}  // namespace fastserve::runtime
