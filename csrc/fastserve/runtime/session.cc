#include "fastserve/runtime/session.h"

#include "fastserve/runtime/introspect.h"
#include "fastserve/runtime/ort_error.h"
#include "fastserve/runtime/ort_options.h"
#include "fastserve/runtime/ort_runner.h"
#include "fastserve/runtime/ort_session.h"

namespace fastserve::runtime {
namespace {

Code load_code(int ort_code) {
  switch (ort_code) {
    case kOrtNotImplemented:
      return Code::kUnimplemented;  // an operator, or a type of it, that this build lacks
    case kOrtEpFail:
      return Code::kFailedPrecondition;
    default:
      // Whatever else goes wrong is about the file: not protobuf, not a graph, an unknown opset.
      return Code::kInvalidArgument;
  }
}

Status add_external(const OrtApi& api, OrtSessionOptions* options,
                    std::span<const ExternalFile> files) {
  if (files.empty()) return {};
  std::vector<const char*> names;
  std::vector<char*> buffers;
  std::vector<size_t> sizes;
  for (const ExternalFile& file : files) {
    names.push_back(file.name.c_str());
    // The call takes them as writable and only reads.
    buffers.push_back(const_cast<char*>(reinterpret_cast<const char*>(file.data.data())));
    sizes.push_back(file.data.size());
  }
  OrtStatus* error =
      api.AddExternalFiles(options, names.data(), buffers.data(), sizes.data(), files.size());
  if (error == nullptr) return {};
  return take_error(api, error, Code::kInvalidArgument, "external data was refused");
}

}  // namespace

Result<std::shared_ptr<Session>> Session::create(std::shared_ptr<Library> library, ByteSpan model,
                                                 const SessionOptions& options,
                                                 const std::string& log_id,
                                                 std::span<const ExternalFile> external) {
  auto ort = std::static_pointer_cast<OrtLibrary>(std::move(library));
  const OrtApi& api = ort->api();
  if (model.empty()) return invalid_argument("the ONNX model is empty (0 bytes)");
  Result<OrtHandle<OrtSessionOptions>> made = make_session_options(*ort, options, log_id);
  if (!made.ok()) return made.status();
  if (Status status = add_external(api, made->get(), external); !status.ok()) return status;

  OrtSession* raw = nullptr;
  if (OrtStatus* error =
          api.CreateSessionFromArray(ort->env(), model.data(), model.size(), made->get(), &raw)) {
    Code code = load_code(api.GetErrorCode(error));
    return take_error(api, error, code, "ONNX Runtime cannot load the model");
  }
  OrtHandle<OrtSession> session(raw, api.ReleaseSession);
  Result<Signature> signature = read_signature(*ort, raw);
  if (!signature.ok()) return signature.status();
  Result<ModelMetadata> metadata = read_metadata(*ort, raw);
  if (!metadata.ok()) return metadata.status();
  return std::shared_ptr<Session>(std::make_shared<OrtSessionOwner>(
      std::move(ort), std::move(session), std::move(*signature), std::move(*metadata)));
}

std::unique_ptr<Runner> OrtSessionOwner::make_runner() {
  return std::make_unique<OrtRunner>(shared_from_this());
}

}  // namespace fastserve::runtime
