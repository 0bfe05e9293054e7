#include "fastserve/sketch/quantile_sketch.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "fastserve/sketch/kll_format.h"

namespace fastserve::sketch {
namespace {

constexpr uint32_t kIdleCapacity = 2;  // of levels below the one where blocks enter
constexpr size_t kMaxEntryLevel = 6;   // where a block of 64 doubles gives one item

// Merges two ascending runs until one is used up; returns the end of what was written. Which run is
// next is as good as random, so there is no branch to mispredict on it.
template <typename T>
T* merge_while_both(const T** first, const T* first_end, size_t first_stride, const T** second,
                    const T* second_end, T* out) {
  const T* a = *first;
  const T* b = *second;
  while (a != first_end && b != second_end) {
    const T x = *a;
    const T y = *b;
    const auto is_a = static_cast<size_t>(x < y);
    *out++ = std::min(y, x);
    a += first_stride & (0 - is_a);
    b += 1 - is_a;
  }
  *first = a;
  *second = b;
  return out;
}

}  // namespace

double rank_error(uint16_t k) { return 2.296 / std::pow(k, 0.9723); }

template <typename T>
QuantileSketch<T>::QuantileSketch(uint64_t seed, uint16_t k) : k_(k), min_k_(k), random_(seed) {
  set_capacities();
}

template <typename T>
size_t QuantileSketch<T>::entry_level() const {
  const size_t top = level_count() - 1;
  return top < 3 ? 0 : std::min((top - 3) / 2, kMaxEntryLevel);
}

template <typename T>
void QuantileSketch<T>::set_capacities() {
  capacities_.clear();
  capacities_.reserve(level_count());
  capacity_ = 0;
  for (size_t level = 0; level < level_count(); ++level) {
    const uint32_t capacity =
        level < entry_level() ? kIdleCapacity : kll_format_capacity(k_, level_count(), level);
    capacities_.push_back(static_cast<uint16_t>(capacity));
    capacity_ += capacity;
  }
}

template <typename T>
void QuantileSketch<T>::add_level() {
  levels_.push_back(levels_.back());
  levels_.shrink_to_fit();  // at most some forty times in a sketch's life
  set_capacities();
  grow_room(capacity_);
}

template <typename T>
void QuantileSketch<T>::grow_room(uint32_t room) {
  if (room <= items_.size()) return;
  const auto more = static_cast<uint32_t>(room - items_.size());
  std::vector<T> items(room);
  std::copy(items_.begin(), items_.end(), items.begin() + more);
  items_ = std::move(items);
  for (uint32_t& level : levels_) level += more;
}

template <typename T>
void QuantileSketch<T>::sort_level_zero() {
  if (is_level_zero_sorted_) return;
  std::sort(items_.begin() + levels_[0], items_.begin() + levels_[1]);
  is_level_zero_sorted_ = true;
}

template <typename T>
void QuantileSketch<T>::add_sorted(const T* sorted, size_t count, size_t stride) {
  if (count == 0) return;
  const T first = sorted[0];
  const T last = sorted[(count - 1) * stride];
  minimum_ = empty() ? first : std::min(minimum_, first);
  maximum_ = empty() ? last : std::max(maximum_, last);
  count_ += count;
  // Powers of two, largest first: the weights add up to the count.
  for (size_t level = entry_level();; --level) {
    const size_t items = count >> level;
    if (items > 0) {
      const size_t offset = random_.below_power_of_two(static_cast<uint32_t>(level));
      insert(level, sorted + offset * stride, items, stride << level);
      sorted += (items << level) * stride;
      count -= items << level;
    }
    if (level == 0) return;
  }
}

template <typename T>
void QuantileSketch<T>::merge(const QuantileSketch& other) {
  if (other.empty()) return;
  if (this == &other) return merge(QuantileSketch(other));
  minimum_ = empty() ? other.minimum_ : std::min(minimum_, other.minimum_);
  maximum_ = empty() ? other.maximum_ : std::max(maximum_, other.maximum_);
  count_ += other.count_;
  if (other.level_count() > 1) min_k_ = std::min(min_k_, other.min_k_);
  while (level_count() < other.level_count()) add_level();
  for (size_t level = 0; level < other.level_count(); ++level) {
    const std::span<const T> items = other.level(level);
    if (level == 0 && !other.is_level_zero_sorted_) {
      std::vector<T> sorted(items.begin(), items.end());
      std::sort(sorted.begin(), sorted.end());
      insert(0, sorted.data(), sorted.size(), 1);
    } else {
      insert(level, items.data(), items.size(), 1);
    }
  }
}

// Merges a sorted run into a level; the levels below move into the free room in front.
template <typename T>
void QuantileSketch<T>::insert(size_t level, const T* run, size_t count, size_t stride) {
  if (count > 0 && level == 0) sort_level_zero();
  while (count > 0) {
    if (levels_[0] == 0) make_room();
    const auto taken = static_cast<uint32_t>(std::min<size_t>(count, levels_[0]));
    T* const base = items_.data();
    const uint32_t begin = levels_[level];
    std::memmove(base + levels_[0] - taken, base + levels_[0], (begin - levels_[0]) * sizeof(T));
    for (size_t below = 0; below <= level; ++below) levels_[below] -= taken;
    // Forward and in place: what is written is never ahead of what is still to be read.
    T* out = base + begin - taken;
    const T* held = base + begin;
    const T* const held_end = base + levels_[level + 1];
    const T* const run_end = run + taken * stride;
    out = merge_while_both(&run, run_end, stride, &held, held_end, out);
    for (; run != run_end; run += stride) *out++ = *run;
    count -= taken;
  }
}

// At least one free place in front.
template <typename T>
void QuantileSketch<T>::make_room() {
  if (items_.size() < capacity_) return grow_room(capacity_);
  // As many items as all levels' capacities: at least one level has reached its own.
  size_t level = 0;
  while (levels_[level + 1] - levels_[level] < capacities_[level]) ++level;
  compact(level);
}

template <typename T>
void QuantileSketch<T>::compact(size_t level) {
  if (level == level_count() - 1) add_level();
  if (level == 0) sort_level_zero();
  T* const base = items_.data();
  const uint32_t begin = levels_[level];
  const uint32_t end = levels_[level + 1];
  const uint32_t odd = (end - begin) % 2;  // the smallest stays when the coin cannot be fair to it
  const uint32_t half = (end - begin) / 2;
  const uint32_t offset = random_.below_power_of_two(1);
  T* const pairs = base + begin + odd;
  T* out = pairs + half;
  const T* above = base + end;
  const T* const above_end = base + levels_[level + 2];
  for (uint32_t i = 0; i < half; ++i) pairs[i] = pairs[2 * i + offset];
  const T* kept = pairs;
  const T* const kept_end = pairs + half;
  out = merge_while_both(&kept, kept_end, 1, &above, above_end, out);
  std::copy(kept, kept_end, out);
  // What is left of this level and the levels below follow to the right.
  std::memmove(base + levels_[0] + half, base + levels_[0], (begin + odd - levels_[0]) * sizeof(T));
  for (size_t below = 0; below <= level; ++below) levels_[below] += half;
  levels_[level + 1] = end - half;
}

template class QuantileSketch<float>;
template class QuantileSketch<double>;

}  // namespace fastserve::sketch
