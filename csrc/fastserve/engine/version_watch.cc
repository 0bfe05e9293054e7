#include "fastserve/engine/version_watch.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "fastserve/base/quoted.h"
#include "fastserve/engine/capture_sample.h"

namespace fastserve::engine {
namespace {

// Of a moment on the monotonic clock, by what the wall clock says now.
int64_t wall_clock_of(Nanos moment) {
  timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  return static_cast<int64_t>(wall.tv_sec) * kSecond + wall.tv_nsec - (monotonic_now() - moment);
}

}  // namespace

Result<std::shared_ptr<VersionWatch>> VersionWatch::make(std::string model, int64_t number,
                                                         const runtime::Signature& signature,
                                                         bool has_rows_axis, WatchOptions options) {
  std::shared_ptr<VersionWatch> watch(
      new VersionWatch(std::move(model), number, signature, has_rows_axis, std::move(options)));
  const WatchOptions& wanted = watch->options_;
  if (wanted.contract != nullptr && wanted.schema == nullptr) {
    return invalid_argument("a contract without a schema: its rules name the schema's features");
  }
  if (wanted.segment.has_value() && *wanted.segment >= watch->inputs_) {
    return invalid_argument("segment " + std::to_string(*wanted.segment) + ": the model has " +
                            std::to_string(watch->inputs_) + " inputs");
  }
  if (wanted.schema == nullptr) return watch;
  const auto& tensors = wanted.schema->tensors();
  if (tensors.size() != watch->names_.size()) {
    return invalid_argument("a schema of " + std::to_string(tensors.size()) +
                            " tensors, expected the model's " +
                            std::to_string(watch->names_.size()));
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == watch->names_[i] && tensors[i].dtype == watch->dtypes_[i]) continue;
    return invalid_argument("tensor " + quoted(tensors[i].name) + " " +
                            std::string(dtype_name(tensors[i].dtype)) +
                            " of the schema, expected " + quoted(watch->names_[i]) + " " +
                            std::string(dtype_name(watch->dtypes_[i])));
  }
  return watch;
}

VersionWatch::VersionWatch(std::string model, int64_t number, const runtime::Signature& signature,
                           bool has_rows_axis, WatchOptions options)
    : model_(std::move(model)),
      number_(number),
      has_rows_axis_(has_rows_axis),
      options_(std::move(options)),
      inputs_(signature.inputs.size()) {
  for (const auto* specs : {&signature.inputs, &signature.outputs}) {
    for (const runtime::TensorSpec& spec : *specs) {
      names_.push_back(spec.name);
      dtypes_.push_back(spec.dtype);
    }
  }
}

bool VersionWatch::is_chosen(std::string_view id) {
  if (options_.capture_share <= 0) return false;
  const uint64_t counter =
      id.empty() ? counter_.fetch_add(1, std::memory_order_relaxed) : uint64_t{0};
  return is_captured(options_.capture_share, id, options_.seed, counter);
}

void VersionWatch::skip(uint32_t rows, uint32_t captured) {
  rows_skipped_.fetch_add(rows, std::memory_order_relaxed);
  if (captured > 0) options_.captures->count_dropped(captured);
}

void VersionWatch::set_shadow(std::shared_ptr<Shadow> shadow, ShadowMapping mapping) {
  std::lock_guard lock(shadow_mutex_);
  // The one before is destroyed by the caller, without the lock.
  std::swap(shadow_, shadow);
  mapping_ = std::move(mapping);
}

void VersionWatch::offer_to_shadow(const Observation& observation) {
  std::shared_ptr<Shadow> shadow;
  {
    std::lock_guard lock(shadow_mutex_);
    if (shadow_ == nullptr) return;
    shadow = shadow_;
    offered_as_ = mapping_;
  }
  shadow->offer(offered_as_, observation);
}

void VersionWatch::observe(const Observation& observation) {
  offer_to_shadow(observation);
  if (options_.schema != nullptr && observation.is_sketched) add_to_sketch(observation);
  for (const ObservedRequest& request : observation.requests) {
    if (options_.predictions != nullptr && !request.id.empty() && observation.is_sketched) {
      keep_prediction(observation, request);
    }
    if (request.is_captured) capture(observation, request);
  }
}

void VersionWatch::add_to_sketch(const Observation& observation) {
  // A model may have none.
  const bool has_inputs =
      inputs_ == 0 || (!observation.tensors.empty() && observation.tensors.front().index < inputs_);
  Contract* contract = options_.contract.get();
  std::lock_guard lock(window_mutex_);
  if (!window_.has_value()) window_.emplace(options_.schema, options_.seed);
  bool is_whole = true;
  for (const ObservedTensor& tensor : observation.tensors) {
    if (!observation.are_outputs_sketched && tensor.index >= inputs_) continue;
    // What the model gives in another form than its signature says has no place in the schema.
    if (!window_->add(tensor.index, observation.rows, tensor.data).ok()) {
      is_whole = false;
      continue;
    }
    if (contract != nullptr && !contract->is_enforced() && tensor.index < inputs_) {
      contract->count(tensor.index, tensor.data);
    }
  }
  if (!has_inputs) return;
  std::atomic<uint64_t>& rows = is_whole ? rows_sketched_ : rows_skipped_;
  rows.fetch_add(observation.rows, std::memory_order_relaxed);
}

const ObservedTensor* VersionWatch::find(const Observation& observation, size_t tensor) const {
  for (const ObservedTensor& told : observation.tensors) {
    if (told.index == tensor) return &told;
  }
  return nullptr;
}

bool VersionWatch::cut(const ObservedTensor& tensor, const ObservedRequest& request,
                       TensorView* view) const {
  *view = {.name = names_[tensor.index],
           .dtype = dtypes_[tensor.index],
           .shape = tensor.shape,
           .data = tensor.data};
  if (!has_rows_axis_) return true;
  const TensorView whole = *view;
  view->shape[0] = request.rows;
  return rows_of(whole, request.first_row, request.rows, &view->data);
}

void VersionWatch::keep_prediction(const Observation& observation, const ObservedRequest& request) {
  outputs_.clear();
  for (const ObservedTensor& tensor : observation.tensors) {
    if (tensor.index < inputs_) continue;
    if (!cut(tensor, request, &outputs_.emplace_back())) return;
  }
  if (outputs_.empty()) return;
  TensorView segment;
  const ObservedTensor* told =
      options_.segment.has_value() ? find(observation, *options_.segment) : nullptr;
  const bool has_segment = told != nullptr && cut(*told, request, &segment);
  options_.predictions->put({.model = model_,
                             .id = request.id,
                             .version = number_,
                             .time_ns = wall_clock_of(request.arrival),
                             .outputs = outputs_,
                             .segment = has_segment ? &segment : nullptr},
                            observation.computed);
}

void VersionWatch::capture(const Observation& observation, const ObservedRequest& request) {
  captured_.clear();
  size_t inputs = 0;
  for (const ObservedTensor& tensor : observation.tensors) {
    inputs += tensor.index < inputs_ ? 1 : 0;
    captured_.push_back({.name = names_[tensor.index],
                         .dtype = dtypes_[tensor.index],
                         .shape = tensor.shape,
                         .data = tensor.data});
  }
  const std::span<const TensorView> tensors(captured_);
  options_.captures->put({.model = model_,
                          .version = static_cast<uint64_t>(number_),
                          .id = request.id,
                          .route = {},
                          .time_ns = wall_clock_of(request.arrival),
                          .queue_ns = observation.started - request.arrival,
                          .compute_ns = observation.computed - observation.gathered,
                          .total_ns = observation.computed - request.arrival,
                          .first_row = request.first_row,
                          .rows = has_rows_axis_ ? request.rows : 0,
                          .inputs = tensors.first(inputs),
                          .outputs = tensors.subspan(inputs)});
}

std::optional<sketch::TableSketch> VersionWatch::take_window() {
  std::lock_guard lock(window_mutex_);
  return std::exchange(window_, std::nullopt);
}

WatchStats VersionWatch::stats() const {
  return {.rows_sketched = rows_sketched_.load(std::memory_order_relaxed),
          .rows_skipped = rows_skipped_.load(std::memory_order_relaxed),
          .violations = options_.contract != nullptr ? options_.contract->violations()
                                                     : std::vector<uint64_t>{}};
}

}  // namespace fastserve::engine
