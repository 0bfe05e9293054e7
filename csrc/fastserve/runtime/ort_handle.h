// Owner of one ONNX Runtime handle.
#pragma once

#include <utility>

#include "fastserve/runtime/ort_api.h"

namespace fastserve::runtime {

template <typename Handle>
class OrtHandle {
 public:
  using Release = OrtCalls::Release<Handle>;

  OrtHandle() = default;
  // Takes `handle`; `release` is the call that frees it.
  OrtHandle(Handle* handle, Release* release) : handle_(handle), release_(release) {}
  OrtHandle(OrtHandle&& other) noexcept { swap(other); }
  OrtHandle& operator=(OrtHandle&& other) noexcept {
    swap(other);
    return *this;
  }
  OrtHandle(const OrtHandle&) = delete;
  OrtHandle& operator=(const OrtHandle&) = delete;
  ~OrtHandle() { reset(); }

  Handle* get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }
  void reset() {
    if (handle_ != nullptr) release_(handle_);
    handle_ = nullptr;
  }

 private:
  void swap(OrtHandle& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(release_, other.release_);
  }

  Handle* handle_ = nullptr;
  Release* release_ = nullptr;
};

}  // namespace fastserve::runtime
