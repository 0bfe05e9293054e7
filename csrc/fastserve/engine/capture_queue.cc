#include "fastserve/engine/capture_queue.h"

#include <chrono>
#include <cstring>
#include <utility>

namespace fastserve::engine {

namespace {

// Of an element of BYTES, before its own bytes.
constexpr size_t kLengthBytes = sizeof(uint32_t);

// Steps over `elements` of a BYTES tensor from `at` on; false when the data ends before.
bool step_over(ByteSpan data, int64_t elements, size_t* at) {
  for (; elements > 0; --elements) {
    uint32_t length = 0;
    if (data.size() - *at < kLengthBytes) return false;
    std::memcpy(&length, data.data() + *at, kLengthBytes);
    *at += kLengthBytes;
    if (data.size() - *at < length) return false;
    *at += length;
  }
  return true;
}

// What put() is going to copy, and how much that is.
struct Part {
  const TensorView* tensor;
  ByteSpan data;
};

// The request's part of each tensor; false when a tensor does not have it.
bool find_parts(const CaptureView& view, std::span<const TensorView> tensors,
                std::vector<Part>* parts) {
  parts->reserve(tensors.size());
  for (const TensorView& tensor : tensors) {
    ByteSpan data = tensor.data;
    if (view.rows > 0 && !rows_of(tensor, view.first_row, view.rows, &data)) return false;
    parts->push_back({&tensor, data});
  }
  return true;
}

size_t size_of(const std::vector<Part>& parts) {
  size_t bytes = 0;
  for (const Part& part : parts) {
    bytes += sizeof(CapturedTensor) + part.tensor->name.size() + part.data.size();
  }
  return bytes;
}

std::vector<CapturedTensor> copy_of(const std::vector<Part>& parts, int64_t rows) {
  std::vector<CapturedTensor> tensors;
  tensors.reserve(parts.size());
  for (const Part& part : parts) {
    Shape shape = part.tensor->shape;
    if (rows > 0) shape[0] = rows;
    tensors.push_back({std::string(part.tensor->name),
                       part.tensor->dtype,
                       shape,
                       {part.data.begin(), part.data.end()}});
  }
  return tensors;
}

}  // namespace

bool rows_of(const TensorView& tensor, int64_t first, int64_t rows, ByteSpan* data) {
  int64_t elements = 0;
  const Shape& shape = tensor.shape;
  if (shape.rank() == 0 || first < 0 || rows < 0 || rows > shape[0] || first > shape[0] - rows ||
      !shape.element_count(&elements)) {
    return false;
  }
  const int64_t row_elements = shape[0] == 0 ? 0 : elements / shape[0];
  if (tensor.dtype == DType::kBytes) {
    size_t begin = 0;
    if (!step_over(tensor.data, first * row_elements, &begin)) return false;
    size_t end = begin;
    if (!step_over(tensor.data, rows * row_elements, &end)) return false;
    *data = tensor.data.subspan(begin, end - begin);
    return true;
  }
  const size_t size = dtype_size(tensor.dtype);
  int64_t total = 0;
  if (size == 0 || !checked_multiply(elements, static_cast<int64_t>(size), &total) ||
      tensor.data.size() != static_cast<size_t>(total)) {
    return false;
  }
  const size_t row_bytes = static_cast<size_t>(row_elements) * size;
  *data = tensor.data.subspan(static_cast<size_t>(first) * row_bytes,
                              static_cast<size_t>(rows) * row_bytes);
  return true;
}

size_t CapturedRequest::size_bytes() const {
  size_t bytes = sizeof(CapturedRequest) + model.size() + id.size() + route.size();
  for (const auto* tensors : {&inputs, &outputs}) {
    for (const CapturedTensor& tensor : *tensors) {
      bytes += sizeof(CapturedTensor) + tensor.name.size() + tensor.data.size();
    }
  }
  return bytes;
}

bool CaptureQueue::put(const CaptureView& view) {
  std::vector<Part> inputs;
  std::vector<Part> outputs;
  if (!find_parts(view, view.inputs, &inputs) || !find_parts(view, view.outputs, &outputs)) {
    count_dropped(1);
    return false;
  }
  const size_t bytes = sizeof(CapturedRequest) + view.model.size() + view.id.size() +
                       view.route.size() + size_of(inputs) + size_of(outputs);
  if (!reserve(bytes)) return false;
  // Outside of the lock: the one who takes does not wait for a large copy.
  CapturedRequest request{.model = std::string(view.model),
                          .version = view.version,
                          .id = std::string(view.id),
                          .route = std::string(view.route),
                          .time_ns = view.time_ns,
                          .queue_ns = view.queue_ns,
                          .compute_ns = view.compute_ns,
                          .total_ns = view.total_ns,
                          .rows = view.rows,
                          .inputs = copy_of(inputs, view.rows),
                          .outputs = copy_of(outputs, view.rows)};
  std::lock_guard lock(mutex_);
  reserved_bytes_ -= bytes;
  ++stats_.offered;
  if (is_closed_) {
    ++stats_.dropped;
    return false;
  }
  requests_.push_back(std::move(request));
  ++stats_.waiting;
  stats_.waiting_bytes += bytes;
  if (stats_.waiting_bytes >= wanted_bytes_) changed_.notify_one();
  return true;
}

bool CaptureQueue::reserve(size_t bytes) {
  std::lock_guard lock(mutex_);
  const size_t held = stats_.waiting_bytes + reserved_bytes_;
  if (is_closed_ || bytes > max_bytes_ || held > max_bytes_ - bytes) {
    ++stats_.offered;
    ++stats_.dropped;
    return false;
  }
  reserved_bytes_ += bytes;
  return true;
}

void CaptureQueue::count_dropped(uint64_t requests) {
  std::lock_guard lock(mutex_);
  stats_.offered += requests;
  stats_.dropped += requests;
}

std::vector<CapturedRequest> CaptureQueue::take(size_t max_bytes) {
  std::vector<CapturedRequest> taken;
  size_t bytes = 0;
  std::lock_guard lock(mutex_);
  while (!requests_.empty()) {
    const size_t next = requests_.front().size_bytes();
    if (!taken.empty() && (bytes >= max_bytes || next > max_bytes - bytes)) break;
    bytes += next;
    taken.push_back(std::move(requests_.front()));
    requests_.pop_front();
  }
  stats_.waiting -= taken.size();
  stats_.waiting_bytes -= bytes;
  stats_.taken += taken.size();
  return taken;
}

void CaptureQueue::wait(size_t min_bytes, Nanos timeout) {
  std::unique_lock lock(mutex_);
  wanted_bytes_ = min_bytes;
  changed_.wait_for(lock, std::chrono::nanoseconds(timeout),
                    [&] { return is_woken_ || is_closed_ || stats_.waiting_bytes >= min_bytes; });
  wanted_bytes_ = SIZE_MAX;
  is_woken_ = false;
}

void CaptureQueue::wake() {
  std::lock_guard lock(mutex_);
  is_woken_ = true;
  changed_.notify_all();
}

void CaptureQueue::close() {
  std::lock_guard lock(mutex_);
  is_closed_ = true;
  changed_.notify_all();
}

CaptureQueueStats CaptureQueue::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace fastserve::engine
