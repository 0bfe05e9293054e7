#include "fastserve/engine/observation_block.h"

#include <cstring>

namespace fastserve::engine {
namespace {

struct Header {
  uint64_t bytes;  // of the whole record
  uint32_t sink;
  uint32_t rows;
  uint32_t requests;
  uint32_t tensors;
  uint32_t is_sketched;
  uint32_t are_outputs_sketched;
  Nanos started;
  Nanos gathered;
  Nanos computed;
};

struct RequestRecord {
  uint32_t first_row;
  uint32_t rows;
  uint32_t id_bytes;
  uint32_t is_captured;
  Nanos arrival;
};

struct TensorRecord {
  uint32_t index;
  uint32_t rank;
  uint64_t bytes;
};

static_assert(sizeof(Header) % 8 == 0 && sizeof(RequestRecord) % 8 == 0 &&
              sizeof(TensorRecord) % 8 == 0);

constexpr size_t padded(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

class Cursor {
 public:
  explicit Cursor(std::byte* at) : at_(at) {}

  template <typename Record>
  void put(const Record& record) {
    std::memcpy(at_, &record, sizeof record);
    at_ += sizeof record;
  }
  void put_bytes(const void* data, size_t bytes) {
    if (bytes > 0) std::memcpy(at_, data, bytes);
    at_ += bytes;
  }
  void align(const std::byte* start) {
    at_ += padded(static_cast<size_t>(at_ - start)) - (at_ - start);
  }

 private:
  std::byte* at_;
};

}  // namespace

size_t ObservationBlock::record_bytes(const Observation& observation) {
  size_t bytes = sizeof(Header) + observation.requests.size() * sizeof(RequestRecord);
  for (const ObservedRequest& request : observation.requests) bytes += request.id.size();
  bytes = padded(bytes);
  for (const ObservedTensor& tensor : observation.tensors) {
    bytes += sizeof(TensorRecord) + tensor.shape.rank() * sizeof(int64_t);
    bytes += padded(tensor.data.size());
  }
  return bytes;
}

void ObservationBlock::reserve(size_t capacity_bytes) {
  if (capacity_ >= capacity_bytes) return;
  memory_ = std::make_unique_for_overwrite<std::byte[]>(capacity_bytes);
  capacity_ = capacity_bytes;
}

void ObservationBlock::shrink(size_t keep_bytes) {
  if (capacity_ <= keep_bytes) return;
  memory_.reset();
  capacity_ = 0;
  reserve(keep_bytes);
}

void ObservationBlock::append(uint32_t sink, const Observation& observation) {
  const size_t bytes = record_bytes(observation);
  std::byte* const start = memory_.get() + size_;
  Cursor cursor(start);
  cursor.put(Header{.bytes = bytes,
                    .sink = sink,
                    .rows = observation.rows,
                    .requests = static_cast<uint32_t>(observation.requests.size()),
                    .tensors = static_cast<uint32_t>(observation.tensors.size()),
                    .is_sketched = observation.is_sketched ? 1u : 0u,
                    .are_outputs_sketched = observation.are_outputs_sketched ? 1u : 0u,
                    .started = observation.started,
                    .gathered = observation.gathered,
                    .computed = observation.computed});
  for (const ObservedRequest& request : observation.requests) {
    cursor.put(RequestRecord{.first_row = request.first_row,
                             .rows = request.rows,
                             .id_bytes = static_cast<uint32_t>(request.id.size()),
                             .is_captured = request.is_captured ? 1u : 0u,
                             .arrival = request.arrival});
  }
  for (const ObservedRequest& request : observation.requests) {
    cursor.put_bytes(request.id.data(), request.id.size());
  }
  cursor.align(start);
  for (const ObservedTensor& tensor : observation.tensors) {
    cursor.put(TensorRecord{.index = tensor.index,
                            .rank = static_cast<uint32_t>(tensor.shape.rank()),
                            .bytes = tensor.data.size()});
    cursor.put_bytes(tensor.shape.data(), tensor.shape.rank() * sizeof(int64_t));
    cursor.put_bytes(tensor.data.data(), tensor.data.size());
    cursor.align(start);
  }
  size_ += bytes;
}

void ObservationReader::open(const ObservationBlock& block) {
  at_ = block.memory_.get();
  end_ = at_ + block.size_;
}

bool ObservationReader::next(uint32_t* sink, Observation* observation) {
  if (at_ == end_) return false;
  const std::byte* const start = at_;
  const auto header = take<Header>(&at_);
  *sink = header.sink;
  requests_.resize(header.requests);
  size_t ids_bytes = 0;
  const std::byte* ids = at_ + header.requests * sizeof(RequestRecord);
  for (ObservedRequest& request : requests_) {
    const auto record = take<RequestRecord>(&at_);
    request.first_row = record.first_row;
    request.rows = record.rows;
    request.is_captured = record.is_captured != 0;
    request.arrival = record.arrival;
    request.id = as_text({ids + ids_bytes, record.id_bytes});
    ids_bytes += record.id_bytes;
  }
  at_ = start + padded(static_cast<size_t>(ids - start) + ids_bytes);
  tensors_.resize(header.tensors);
  for (ObservedTensor& tensor : tensors_) {
    const auto record = take<TensorRecord>(&at_);
    tensor.index = record.index;
    tensor.shape.clear();
    for (uint32_t axis = 0; axis < record.rank; ++axis) {
      tensor.shape.push_back(take<int64_t>(&at_));
    }
    tensor.data = {at_, record.bytes};
    at_ += padded(record.bytes);
  }
  at_ = start + header.bytes;
  *observation = {.started = header.started,
                  .gathered = header.gathered,
                  .computed = header.computed,
                  .rows = header.rows,
                  .is_sketched = header.is_sketched != 0,
                  .are_outputs_sketched = header.are_outputs_sketched != 0,
                  .requests = requests_,
                  .tensors = tensors_};
  return true;
}

}  // namespace fastserve::engine
