// QuantileSketch to and from bytes; the format is told in kll_format.h.
#include <algorithm>
#include <cstring>

#include "fastserve/sketch/byte_cursor.h"
#include "fastserve/sketch/kll_format.h"
#include "fastserve/sketch/quantile_sketch.h"

namespace fastserve::sketch {
namespace {

Status broken(const std::string& what) { return invalid_argument("quantile sketch: " + what); }

struct Preamble {
  uint8_t ints, version, family, flags;
  uint16_t k;
  uint8_t m, unused;
};

Status check_preamble(const Preamble& preamble) {
  const auto expect = [](const char* name, int got, int expected) {
    return broken(std::string(name) + " is " + std::to_string(got) + ", expected " +
                  std::to_string(expected));
  };
  if (preamble.family != kKllFamily) return expect("the family", preamble.family, kKllFamily);
  if (preamble.m != kKllM) return expect("m", preamble.m, kKllM);
  if (preamble.unused != 0) return expect("byte 7", preamble.unused, 0);
  if (preamble.k < kKllM) return broken("k is " + std::to_string(preamble.k) + ", expected 8 on");
  const bool is_empty = (preamble.flags & kKllEmpty) != 0;
  const bool is_single = (preamble.flags & kKllSingle) != 0;
  if ((preamble.flags & ~(kKllEmpty | kKllSorted | kKllSingle)) != 0 || (is_empty && is_single)) {
    return broken("flags are " + std::to_string(preamble.flags));
  }
  const int ints = is_empty || is_single ? 2 : 5;
  if (preamble.ints != ints) return expect("the number of preamble ints", preamble.ints, ints);
  const int version = is_single ? 2 : 1;
  if (preamble.version != version) return expect("the version", preamble.version, version);
  return ok_status();
}

template <typename T>
void append_items(const T* items, size_t count, std::string* out) {
  out->append(reinterpret_cast<const char*>(items), count * sizeof(T));
}

}  // namespace

template <typename T>
std::string QuantileSketch<T>::serialize() const {
  const bool is_single = count_ == 1;
  std::string out;
  append(&out, static_cast<uint8_t>(count_ <= 1 ? 2 : 5));
  append(&out, static_cast<uint8_t>(is_single ? 2 : 1));
  append(&out, kKllFamily);
  append(&out,
         static_cast<uint8_t>((empty() ? kKllEmpty : 0) | (is_level_zero_sorted_ ? kKllSorted : 0) |
                              (is_single ? kKllSingle : 0)));
  append(&out, k_);
  append(&out, kKllM);
  append(&out, uint8_t{0});
  if (empty()) return out;
  if (!is_single) {
    append(&out, count_);
    append(&out, min_k_);
    append(&out, static_cast<uint8_t>(level_count()));
    append(&out, uint8_t{0});
    const uint32_t end = kll_format_capacity(k_, level_count());
    for (size_t level = 0; level < level_count(); ++level) {
      append(&out, static_cast<uint32_t>(end - (levels_.back() - levels_[level])));
    }
    append(&out, minimum_);
    append(&out, maximum_);
  }
  append_items(items_.data() + levels_[0], retained(), &out);
  return out;
}

template <typename T>
Result<QuantileSketch<T>> QuantileSketch<T>::parse(ByteSpan bytes, uint64_t seed) {
  ByteReader reader(bytes);
  Preamble preamble;
  preamble.ints = reader.read<uint8_t>();
  preamble.version = reader.read<uint8_t>();
  preamble.family = reader.read<uint8_t>();
  preamble.flags = reader.read<uint8_t>();
  preamble.k = reader.read<uint16_t>();
  preamble.m = reader.read<uint8_t>();
  preamble.unused = reader.read<uint8_t>();
  if (!reader.ok()) return broken("ends within its preamble");
  if (Status status = check_preamble(preamble); !status.ok()) return status;
  QuantileSketch sketch(seed, preamble.k);
  sketch.is_level_zero_sorted_ = (preamble.flags & kKllSorted) != 0;
  if ((preamble.flags & kKllEmpty) == 0) {
    const Status status = (preamble.flags & kKllSingle) != 0 ? sketch.read_single(&reader)
                                                             : sketch.read_levels(&reader);
    if (!status.ok()) return status;
    if (Status items = sketch.check_items(); !items.ok()) return items;
  }
  if (reader.left() != 0) {
    return broken(std::to_string(reader.left()) + " bytes are left over behind its items");
  }
  return sketch;
}

template <typename T>
Status QuantileSketch<T>::read_single(ByteReader* reader) {
  items_ = {reader->read<T>()};
  if (!reader->ok()) return broken("ends before its single item");
  levels_ = {0, 1};
  count_ = 1;
  minimum_ = maximum_ = items_[0];
  return ok_status();
}

template <typename T>
Status QuantileSketch<T>::read_levels(ByteReader* reader) {
  count_ = reader->read<uint64_t>();
  min_k_ = reader->read<uint16_t>();
  const size_t levels = reader->read<uint8_t>();
  const auto unused = reader->read<uint8_t>();
  if (!reader->ok()) return broken("ends within its preamble");
  // One item has a form of its own.
  if (count_ < 2 || count_ >= kMaxCount) return broken("the count is " + std::to_string(count_));
  if (min_k_ < kKllM || min_k_ > k_ || unused != 0) {
    return broken("min k is " + std::to_string(min_k_) + " with k " + std::to_string(k_));
  }
  if (levels == 0 || levels > kMaxKllLevels) {
    return broken("has " + std::to_string(levels) + " levels");
  }
  const uint32_t end = kll_format_capacity(k_, levels);
  levels_.resize(levels + 1);
  for (size_t level = 0; level < levels; ++level) levels_[level] = reader->read<uint32_t>();
  levels_[levels] = end;
  if (!std::is_sorted(levels_.begin(), levels_.end())) return broken("levels overlap");
  minimum_ = reader->read<T>();
  maximum_ = reader->read<T>();
  const ByteSpan items = reader->take((end - levels_[0]) * sizeof(T));
  if (!reader->ok()) return broken("ends within its items");
  // Room in front is made when items are added: memory is in proportion to the bytes.
  set_capacities();
  const uint32_t front = levels_[0];
  for (uint32_t& level : levels_) level -= front;
  items_.resize(items.size() / sizeof(T));
  if (!items.empty()) std::memcpy(items_.data(), items.data(), items.size());
  return ok_status();
}

template <typename T>
Status QuantileSketch<T>::check_items() const {
  uint64_t total = 0;
  for (size_t index = 0; index < level_count(); ++index) {
    const std::span<const T> items = level(index);
    if (items.size() > (kMaxCount >> index)) return broken("a level outweighs the count");
    total += uint64_t{items.size()} << index;
    if ((index > 0 || is_level_zero_sorted_) && !std::is_sorted(items.begin(), items.end())) {
      return broken("level " + std::to_string(index) + " is not in order");
    }
    // Written so that NaN is no member.
    const auto is_member = [this](T item) { return item >= minimum_ && item <= maximum_; };
    if (!std::all_of(items.begin(), items.end(), is_member)) {
      return broken("an item of level " + std::to_string(index) +
                    " is not between minimum and maximum");
    }
  }
  if (total != count_) {
    return broken("its items stand for " + std::to_string(total) + ", its count is " +
                  std::to_string(count_));
  }
  return ok_status();
}

// The members that are defined here; the class itself is instantiated in quantile_sketch.cc.
#define FASTSERVE_INSTANTIATE(T)                                                   \
  template std::string QuantileSketch<T>::serialize() const;                       \
  template Result<QuantileSketch<T>> QuantileSketch<T>::parse(ByteSpan, uint64_t); \
  template Status QuantileSketch<T>::read_single(ByteReader*);                     \
  template Status QuantileSketch<T>::read_levels(ByteReader*);                     \
  template Status QuantileSketch<T>::check_items() const

FASTSERVE_INSTANTIATE(float);
FASTSERVE_INSTANTIATE(double);

}  // namespace fastserve::sketch
