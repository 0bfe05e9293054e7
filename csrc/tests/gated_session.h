// A runtime::Session whose runs a test can hold: input x INT64, of [N,1] unless told otherwise,
// output y = x, so that every answer shows whose rows it holds. The engine sees runtime's own
// interface and nothing else.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/runtime/session.h"

namespace fastserve::testing {

class GatedSession final : public runtime::Session {
 public:
  explicit GatedSession(const Shape& shape = {kDynamic, 1}) {
    runtime::TensorSpec spec;
    spec.name = "x";
    spec.dtype = DType::kInt64;
    spec.shape = shape;
    spec.symbols.resize(shape.rank());
    signature_.inputs.push_back(spec);
    spec.name = "y";
    signature_.outputs.push_back(spec);
  }

  const runtime::Signature& signature() const override { return signature_; }
  const runtime::ModelMetadata& metadata() const override { return metadata_; }
  std::unique_ptr<runtime::Runner> make_runner() override;

  // While closed, runs wait inside the runner.
  void close_gate() {
    std::lock_guard lock(mutex_);
    is_open_ = false;
  }
  void open_gate() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  // Returns once `count` runs wait at the gate.
  void wait_for_runs(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= count; });
  }
  void fail_runs(bool fails) {
    std::lock_guard lock(mutex_);
    fails_ = fails;
  }
  // Answers are y = x + by.
  void shift_answers(int64_t by) {
    std::lock_guard lock(mutex_);
    shift_ = by;
  }
  // Runs of more rows fail.
  void fail_above(int64_t rows) {
    std::lock_guard lock(mutex_);
    fails_above_ = rows;
  }
  std::vector<int64_t> batch_rows() {
    std::lock_guard lock(mutex_);
    return batch_rows_;
  }
  // Of the input of the last run.
  Shape last_shape() {
    std::lock_guard lock(mutex_);
    return last_shape_;
  }

 private:
  friend class GatedRunner;
  runtime::Signature signature_;
  runtime::ModelMetadata metadata_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = true;
  bool fails_ = false;
  int64_t fails_above_ = INT64_MAX;
  int64_t shift_ = 0;
  int waiting_ = 0;
  std::vector<int64_t> batch_rows_;
  Shape last_shape_;
};

class GatedRunner final : public runtime::Runner {
 public:
  explicit GatedRunner(GatedSession* session) : session_(session) {}

  Status run(std::span<const runtime::RunInput> inputs, std::span<const bool>,
             std::span<runtime::RunOutput> outputs) override {
    std::unique_lock lock(session_->mutex_);
    is_terminated_ = false;
    session_->batch_rows_.push_back(inputs[0].shape[0]);
    session_->last_shape_ = inputs[0].shape;
    ++session_->waiting_;
    session_->changed_.notify_all();
    session_->changed_.wait(lock, [this] { return session_->is_open_ || is_terminated_; });
    --session_->waiting_;
    if (is_terminated_) return {Code::kCancelled, "terminated"};
    if (session_->fails_ || inputs[0].shape[0] > session_->fails_above_)
      return {Code::kInternal, "the model failed"};
    memory_.assign(inputs[0].data.begin(), inputs[0].data.end());
    for (size_t at = 0; at + sizeof(int64_t) <= memory_.size() && session_->shift_ != 0;
         at += sizeof(int64_t)) {
      int64_t value = 0;
      std::memcpy(&value, memory_.data() + at, sizeof(value));
      value += session_->shift_;
      std::memcpy(memory_.data() + at, &value, sizeof(value));
    }
    outputs[0] = {
        .dtype = DType::kInt64, .shape = inputs[0].shape, .data = memory_, .present = true};
    return ok_status();
  }
  void terminate() override {
    std::lock_guard lock(session_->mutex_);
    is_terminated_ = true;
    session_->changed_.notify_all();
  }

 private:
  GatedSession* const session_;
  bool is_terminated_ = false;
  std::vector<std::byte> memory_;
};

inline std::unique_ptr<runtime::Runner> GatedSession::make_runner() {
  return std::make_unique<GatedRunner>(this);
}

}  // namespace fastserve::testing
