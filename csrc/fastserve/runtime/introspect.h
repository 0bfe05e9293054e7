// Reads from a loaded session what it takes, gives and says about itself.
#pragma once

#include "fastserve/base/status.h"
#include "fastserve/runtime/ort_library.h"
#include "fastserve/runtime/signature.h"

namespace fastserve::runtime {

// kUnimplemented, with the tensor's name and type, when an input or output is not a dense tensor of
// a type that the protocol can name. An optional(tensor) counts as its tensor: an optional output
// may be absent from an answer; an optional input must be given, since the protocol has no absent
// input.
Result<Signature> read_signature(const OrtLibrary& library, const OrtSession* session);

Result<ModelMetadata> read_metadata(const OrtLibrary& library, const OrtSession* session);

}  // namespace fastserve::runtime
