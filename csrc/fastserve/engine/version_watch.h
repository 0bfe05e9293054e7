// What is kept of one version's traffic: sketches of its rows, predictions that wait for their
// labels, requests captured for the training set, breaches of its data contract.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/engine/capture_queue.h"
#include "fastserve/engine/contract.h"
#include "fastserve/engine/observation.h"
#include "fastserve/engine/prediction_store.h"
#include "fastserve/engine/shadow.h"
#include "fastserve/runtime/signature.h"
#include "fastserve/sketch/table_sketch.h"
#include "fastserve/tensor/tensor_view.h"

namespace fastserve::engine {

// Each part may be null or absent: then it is not kept.
struct WatchOptions {
  // Its tensors are the version's inputs, then its outputs, in the signature's order.
  std::shared_ptr<const sketch::TableSchema> schema = {};
  std::shared_ptr<Contract> contract = {};  // needs the schema
  std::shared_ptr<PredictionStore> predictions = {};
  std::optional<size_t> segment = {};  // the input that is kept with each prediction
  std::shared_ptr<CaptureQueue> captures = {};
  double capture_share = 0;  // of the requests
  uint64_t seed = 0;         // of the choice among requests without an id
};

struct WatchStats {
  uint64_t rows_sketched = 0;
  // For want of room; of large rows, those that were not sampled; with a tensor that is not as the
  // signature says.
  uint64_t rows_skipped = 0;
  // Values that broke each rule of the contract.
  std::vector<uint64_t> violations;
};

class VersionWatch final : public ObservationSink {
 public:
  // Errors: kInvalidArgument, the schema's tensors are not the signature's.
  static Result<std::shared_ptr<VersionWatch>> make(std::string model, int64_t number,
                                                    const runtime::Signature& signature,
                                                    bool has_rows_axis, WatchOptions options);

  const WatchOptions& options() const { return options_; }

  // From now on `shadow` is offered what the version serves, as `mapping` says; null ends it.
  // Batches that were told before may still be offered to the one before. Thread: control plane.
  void set_shadow(std::shared_ptr<Shadow> shadow, ShadowMapping mapping);

  bool is_chosen(std::string_view id) override;
  void skip(uint32_t rows, uint32_t captured) override;
  void observe(const Observation& observation) override;

  // Thread: any, for the rest.
  // The rows since the last call; none when there were none.
  std::optional<sketch::TableSketch> take_window();
  WatchStats stats() const;

 private:
  VersionWatch(std::string model, int64_t number, const runtime::Signature& signature,
               bool has_rows_axis, WatchOptions options);
  void offer_to_shadow(const Observation& observation);
  void add_to_sketch(const Observation& observation);
  void keep_prediction(const Observation& observation, const ObservedRequest& request);
  void capture(const Observation& observation, const ObservedRequest& request);
  // The request's part of a tensor; false when the tensor does not have such rows.
  bool cut(const ObservedTensor& tensor, const ObservedRequest& request, TensorView* view) const;
  const ObservedTensor* find(const Observation& observation, size_t tensor) const;

  const std::string model_;
  const int64_t number_;
  const bool has_rows_axis_;
  const WatchOptions options_;
  // By tensor: inputs, then outputs.
  std::vector<std::string> names_;
  std::vector<DType> dtypes_;
  size_t inputs_ = 0;

  std::atomic<uint64_t> counter_{0};  // of requests without an id
  std::atomic<uint64_t> rows_sketched_{0};
  std::atomic<uint64_t> rows_skipped_{0};
  std::mutex shadow_mutex_;
  std::shared_ptr<Shadow> shadow_;
  ShadowMapping mapping_;
  std::mutex window_mutex_;
  std::optional<sketch::TableSketch> window_;
  // Scratch of observe().
  ShadowMapping offered_as_;
  std::vector<TensorView> outputs_;
  std::vector<TensorView> captured_;
};

}  // namespace fastserve::engine
