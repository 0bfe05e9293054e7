// The Library behind its interface: the bound calls, the environment and what every session shares.
#pragma once

#include <string>
#include <vector>

#include "fastserve/runtime/ort_api.h"
#include "fastserve/runtime/ort_handle.h"
#include "fastserve/runtime/session.h"

namespace fastserve::runtime {

class OrtLibrary final : public Library {
 public:
  static Result<std::shared_ptr<Library>> open(const std::string& path);
  explicit OrtLibrary(const void* const* table) : api_(table) {}

  std::string version() const override { return version_; }
  std::vector<std::string> available_providers() const override;

  const OrtApi& api() const { return api_; }
  OrtEnv* env() const { return env_.get(); }
  const OrtMemoryInfo* cpu() const { return cpu_.get(); }
  // ONNX Runtime's default CPU allocator; owned by the library.
  OrtAllocator* allocator() const { return allocator_; }

  // Takes a string that ONNX Runtime allocated; "" for null.
  std::string take_text(char* text) const;

 private:
  Status start();

  OrtApi api_;
  std::string version_;
  OrtHandle<OrtEnv> env_;
  OrtHandle<OrtMemoryInfo> cpu_;
  OrtAllocator* allocator_ = nullptr;
};

}  // namespace fastserve::runtime
