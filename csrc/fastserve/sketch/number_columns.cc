#include "fastserve/sketch/number_columns.h"

#include <cstring>
#include <new>

#include "fastserve/sketch/random.h"

namespace fastserve::sketch {
namespace {

constexpr std::align_val_t kAlignment{64};

template <typename T>
void add_column(const ColumnDigest& digest, size_t count, const T* sorted, size_t stride,
                NumberSketch<T>* sketch) {
  Moments& moments = sketch->moments;
  moments.join(digest.finite, digest.mean, digest.m2);
  moments.count += count;
  moments.missing += digest.missing;
  moments.infinite += digest.infinite;
  moments.zeros += digest.zeros;
  if (digest.finite == 0) return;
  moments.minimum = std::min(moments.minimum, static_cast<double>(sorted[0]));
  moments.maximum =
      std::max(moments.maximum, static_cast<double>(sorted[(digest.finite - 1) * stride]));
  sketch->quantiles.add_sorted(sorted, digest.finite, stride);
}

}  // namespace

template <typename T>
NumberColumns<T>::NumberColumns(size_t columns, uint64_t seed) : stride_(block_stride<T>(columns)) {
  features_.reserve(columns);
  for (size_t i = 0; i < columns; ++i) {
    features_.push_back({Moments(), QuantileSketch<T>(mix(seed + i))});
  }
}

template <typename T>
NumberColumns<T>::NumberColumns(const NumberColumns& other)
    : stride_(other.stride_), features_(other.features_) {
  if (other.waiting_ == 0) return;
  allocate();
  waiting_ = other.waiting_;
  std::memcpy(block_.get(), other.block_.get(), waiting_ * stride_ * sizeof(T));
}

template <typename T>
void NumberColumns<T>::AlignedDelete::operator()(T* block) const {
  ::operator delete[](block, kAlignment);
}

template <typename T>
void NumberColumns<T>::allocate() {
  const size_t bytes = kBlockRows<T> * stride_ * sizeof(T);
  block_.reset(static_cast<T*>(::operator new[](bytes, kAlignment)));
  // Columns that pad the stride stay zero: they are sorted with the others and never read.
  std::memset(block_.get(), 0, bytes);
}

template <typename T>
void NumberColumns<T>::digest() {
  SortedColumns<T> sorted;
  for (size_t column = 0; column < stride_; column += sorted.lanes) {
    sort_block_columns(block_.get(), stride_, column, &sorted);
    const size_t end = std::min(column + sorted.lanes, size());
    for (size_t i = column; i < end; ++i) {
      add_column(sorted.digests[i - column], kBlockRows<T>, sorted.values + (i - column),
                 sorted.lanes, &features_[i]);
    }
  }
  waiting_ = 0;
}

template <typename T>
void NumberColumns<T>::add_waiting(size_t feature, NumberSketch<T>* sketch) const {
  if (waiting_ == 0) return;
  T column[kBlockRows<T>];
  for (size_t row = 0; row < waiting_; ++row) column[row] = block_[row * stride_ + feature];
  const ColumnDigest digest = sort_column(column, waiting_);
  add_column(digest, waiting_, column, 1, sketch);
}

template <typename T>
void NumberColumns<T>::merge(const NumberColumns& other) {
  for (size_t i = 0; i < size(); ++i) features_[i].merge(other.settled(i));
}

template <typename T>
NumberSketch<T> NumberColumns<T>::settled(size_t feature) const {
  NumberSketch<T> sketch = features_[feature];
  add_waiting(feature, &sketch);
  return sketch;
}

template <typename T>
size_t NumberColumns<T>::heap_bytes() const {
  size_t bytes = block_ == nullptr ? 0 : kBlockRows<T> * stride_ * sizeof(T);
  bytes += features_.capacity() * sizeof(NumberSketch<T>);
  for (const NumberSketch<T>& feature : features_) bytes += feature.quantiles.heap_bytes();
  return bytes;
}

template class NumberColumns<float>;
template class NumberColumns<double>;

}  // namespace fastserve::sketch
