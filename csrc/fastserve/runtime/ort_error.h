// From ONNX Runtime's status to ours.
#pragma once

#include <string>
#include <string_view>

#include "fastserve/base/status.h"
#include "fastserve/runtime/ort_api.h"

namespace fastserve::runtime {

// ONNX Runtime's text as one line, without the places and functions of its source code that it puts
// in front of reasons. Keeps everything else, operator and tensor names above all.
std::string tidy_reason(std::string_view message);

// Releases `error` (not null) and returns `code` with "`what`: reason", or the reason alone when
// `what` is empty.
Status take_error(const OrtApi& api, OrtStatus* error, Code code, std::string_view what);

}  // namespace fastserve::runtime
