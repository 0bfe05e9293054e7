// From a ModelInferRequest's bytes to an engine request: read, find the version, check every
// tensor.
#pragma once

#include "fastserve/base/status.h"
#include "fastserve/engine/model_set.h"
#include "fastserve/front/infer_call.h"
#include "fastserve/wire/infer_request.h"

namespace fastserve::front {

// Fills `infer` from infer->message. `scratch` is reused between calls of one thread. On an error
// infer->version is set when the version was found, so that the failure can be counted for it; ok
// without a version means that it is loaded on demand first, and nothing but the id was read.
// Errors and their words are Triton's (docs/protocol.md): kInvalidArgument, kNotFound,
// kUnavailable, kUnimplemented (shared memory, classification).
// `writer` is the thread's number among those that serve.
Status decode_infer(const engine::ModelSet& models, size_t writer, wire::InferRequestView* scratch,
                    InferCall* infer);

}  // namespace fastserve::front
