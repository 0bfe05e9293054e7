// The Session behind its interface.
#pragma once

#include <memory>

#include "fastserve/runtime/ort_handle.h"
#include "fastserve/runtime/ort_library.h"
#include "fastserve/runtime/session.h"

namespace fastserve::runtime {

class OrtSessionOwner final : public Session, public std::enable_shared_from_this<OrtSessionOwner> {
 public:
  OrtSessionOwner(std::shared_ptr<OrtLibrary> library, OrtHandle<OrtSession> session,
                  Signature signature, ModelMetadata metadata)
      : library_(std::move(library)),
        session_(std::move(session)),
        signature_(std::move(signature)),
        metadata_(std::move(metadata)) {}

  const Signature& signature() const override { return signature_; }
  const ModelMetadata& metadata() const override { return metadata_; }
  std::unique_ptr<Runner> make_runner() override;

  const OrtLibrary& library() const { return *library_; }
  OrtSession* get() const { return session_.get(); }

 private:
  // In this order: the session goes before the library.
  const std::shared_ptr<OrtLibrary> library_;
  const OrtHandle<OrtSession> session_;
  const Signature signature_;
  const ModelMetadata metadata_;
};

}  // namespace fastserve::runtime
