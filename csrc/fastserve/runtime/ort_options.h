// Builds ONNX Runtime's session options from ours.
#pragma once

#include <string>

#include "fastserve/base/status.h"
#include "fastserve/runtime/ort_handle.h"
#include "fastserve/runtime/ort_library.h"

namespace fastserve::runtime {

// kFailedPrecondition when an execution provider is not available, naming those that are;
// kInvalidArgument for a setting that ONNX Runtime refuses.
Result<OrtHandle<OrtSessionOptions>> make_session_options(const OrtLibrary& library,
                                                          const SessionOptions& options,
                                                          const std::string& log_id);

}  // namespace fastserve::runtime
