#include "fastserve/sketch/category_sketch.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "fastserve/sketch/murmur3.h"
#include "fastserve/sketch/random.h"

namespace fastserve::sketch {

CategorySketch::CategorySketch(const CategorySketch& other)
    : dtype_(other.dtype_),
      count_(other.count_),
      missing_(other.missing_),
      error_(other.error_),
      entries_(other.entries_),
      texts_(other.texts_),
      index_(other.index_),
      distinct_(other.distinct_ == nullptr ? nullptr
                                           : std::make_unique<DistinctCount>(*other.distinct_)) {}

void CategorySketch::add_integer(uint64_t value) {
  ++count_;
  if (Entry* entry = find(value); entry != nullptr) {
    ++entry->count;
    return;
  }
  const Hash128 hash = murmur3(value);
  add_new(value, DistinctCount::coupon(hash.h1, hash.h2), Text());
}

void CategorySketch::add_text(std::string_view text) {
  ++count_;
  if (text.empty()) {
    ++missing_;
    return;
  }
  const Hash128 hash = murmur3(text);
  if (Entry* entry = find(hash.h1); entry != nullptr) {
    ++entry->count;
    return;
  }
  const DistinctCount::Coupon coupon = DistinctCount::coupon(hash.h1, hash.h2);
  Text kept;
  kept.size = static_cast<uint8_t>(std::min<size_t>(text.size(), kLongText));
  kept.value = coupon.value;
  std::memcpy(kept.bytes.data(), text.data(), std::min(text.size(), kTextBytes));
  add_new(hash.h1, coupon, kept);
}

CategorySketch::Entry* CategorySketch::find(uint64_t key) {
  if (index_.empty()) return nullptr;
  const size_t mask = index_.size() - 1;
  for (size_t at = mix(key) & mask; index_[at] != 0; at = (at + 1) & mask) {
    Entry& entry = entries_[index_[at] - 1];
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

// A value that has no counter. Takes one, after making room where all are taken.
void CategorySketch::add_new(uint64_t key, DistinctCount::Coupon coupon, const Text& text) {
  if (entries_.size() == max_entries()) {
    // As much as the counter has that more than half of the others reach.
    lower_to(entries_.size() / 2);
  }
  if (distinct_ != nullptr) distinct_->add(coupon);
  append({key, 1}, text);
  if (entries_.size() * 2 > index_.size()) {
    rebuild_index();
    return;
  }
  size_t at = mix(key) & (index_.size() - 1);
  while (index_[at] != 0) at = (at + 1) & (index_.size() - 1);
  index_[at] = static_cast<uint8_t>(entries_.size());
}

void CategorySketch::append(Entry entry, const Text& text) {
  // Never more memory than the bound, unless within a merge; little for a column of few values.
  const size_t size = entries_.size();
  if (size == entries_.capacity()) {
    const size_t room = std::max<size_t>(8, 2 * size);
    entries_.reserve(size < max_entries() ? std::min(room, max_entries()) : room);
    if (is_text()) texts_.reserve(entries_.capacity());
  }
  entries_.push_back(entry);
  if (is_text()) texts_.push_back(text);
}

// Frees the counters from the rank `kept` on, the largest first, and may free others of its count.
void CategorySketch::lower_to(size_t kept) {
  if (distinct_ == nullptr) start_distinct();
  std::vector<uint64_t> counts;
  counts.reserve(entries_.size());
  for (const Entry& entry : entries_) counts.push_back(entry.count);
  const auto first = counts.begin() + static_cast<std::ptrdiff_t>(kept);
  std::nth_element(counts.begin(), first, counts.end(), std::greater<>());
  lower(*first);
}

// Takes `step` from every counter and frees those that have no more.
void CategorySketch::lower(uint64_t step) {
  error_ += step;
  size_t kept = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].count <= step) continue;
    entries_[kept] = {entries_[i].key, entries_[i].count - step};
    if (is_text()) texts_[kept] = texts_[i];
    ++kept;
  }
  entries_.resize(kept);
  if (is_text()) texts_.resize(kept);
  if (entries_.capacity() > max_entries()) {
    entries_.shrink_to_fit();
    texts_.shrink_to_fit();
  }
  rebuild_index();
}

void CategorySketch::rebuild_index() {
  size_t size = 8;
  while (size < entries_.size() * 2 + 2) size *= 2;
  index_.assign(size, 0);
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = mix(entries_[i].key) & (size - 1);
    while (index_[at] != 0) at = (at + 1) & (size - 1);
    index_[at] = static_cast<uint8_t>(i + 1);
  }
}

DistinctCount::Coupon CategorySketch::coupon_of(size_t entry) const {
  const uint64_t key = entries_[entry].key;
  if (is_text()) {
    return {static_cast<uint16_t>(key % DistinctCount::kRegisters), texts_[entry].value};
  }
  const Hash128 hash = murmur3(key);
  return DistinctCount::coupon(hash.h1, hash.h2);
}

// While nothing was lowered, the counters are all values that there were.
void CategorySketch::start_distinct() {
  distinct_ = std::make_unique<DistinctCount>();
  for (size_t i = 0; i < entries_.size(); ++i) distinct_->add(coupon_of(i));
}

void CategorySketch::merge(const CategorySketch& other) {
  if (this == &other) return merge(CategorySketch(other));
  count_ += other.count_;
  missing_ += other.missing_;
  error_ += other.error_;
  if (distinct_ == nullptr && other.distinct_ != nullptr) start_distinct();
  if (distinct_ != nullptr) {
    if (other.distinct_ != nullptr) distinct_->merge(*other.distinct_);
    for (size_t i = 0; i < other.entries_.size(); ++i) distinct_->add(other.coupon_of(i));
  }
  // Keys of ours are found by the index as it is; new ones are not looked for twice.
  for (size_t i = 0; i < other.entries_.size(); ++i) {
    const Entry& entry = other.entries_[i];
    if (Entry* ours = find(entry.key); ours != nullptr) {
      ours->count += entry.count;
    } else {
      append(entry, is_text() ? other.texts_[i] : Text());
    }
  }
  if (entries_.size() > max_entries()) {
    lower_to(max_entries());
  } else {
    rebuild_index();
  }
}

double CategorySketch::distinct() const {
  const auto known = static_cast<double>(entries_.size());
  return distinct_ == nullptr ? known : std::max(known, distinct_->estimate());
}

std::string CategorySketch::distinct_sketch() const {
  std::string out;
  if (distinct_ != nullptr) {
    distinct_->serialize(&out);
    return out;
  }
  DistinctCount distinct;
  for (size_t i = 0; i < entries_.size(); ++i) distinct.add(coupon_of(i));
  distinct.serialize(&out);
  return out;
}

std::string CategorySketch::value_of(size_t entry) const {
  const uint64_t key = entries_[entry].key;
  switch (dtype_) {
    case DType::kBool:
      return key == 0 ? "false" : "true";
    case DType::kBytes:
      break;
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kInt64:
      return std::to_string(static_cast<int64_t>(key));
    default:
      return std::to_string(key);
  }
  const Text& text = texts_[entry];
  if (text.size < kLongText) return {text.bytes.data(), text.size};
  size_t cut = kTextBytes;
  // Not within a character: back to where one begins.
  while (cut > 0 && (static_cast<unsigned char>(text.bytes[cut - 1]) & 0xC0) == 0x80) --cut;
  if (cut > 0 && static_cast<unsigned char>(text.bytes[cut - 1]) >= 0xC0) --cut;
  char suffix[24];
  std::snprintf(suffix, sizeof(suffix), "...#%016llx", static_cast<unsigned long long>(key));
  return std::string(text.bytes.data(), cut) + suffix;
}

std::vector<HeavyHitter> CategorySketch::top() const {
  std::vector<HeavyHitter> hitters;
  hitters.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    hitters.push_back({value_of(i), entries_[i].count, error_});
  }
  std::sort(hitters.begin(), hitters.end(), [](const HeavyHitter& a, const HeavyHitter& b) {
    return a.count != b.count ? a.count > b.count : a.value < b.value;
  });
  return hitters;
}

size_t CategorySketch::heap_bytes() const {
  return entries_.capacity() * sizeof(Entry) + texts_.capacity() * sizeof(Text) +
         index_.capacity() + (distinct_ == nullptr ? 0 : sizeof(DistinctCount));
}

}  // namespace fastserve::sketch
