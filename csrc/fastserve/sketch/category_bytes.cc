// CategorySketch to and from bytes, little-endian:
//
//   count u64, missing u64, error u64, entries u16, has distinct u8
//   for each entry: key u64, count u64; of text also size u8, value u8, min(size, 23) bytes
//   where it has: the 1,064 bytes of the distinct count (distinct_count.h)
#include <algorithm>

#include "fastserve/sketch/byte_cursor.h"
#include "fastserve/sketch/category_sketch.h"
#include "fastserve/sketch/kll_format.h"
#include "fastserve/sketch/murmur3.h"

namespace fastserve::sketch {
namespace {

Status broken(const std::string& what) { return invalid_argument("category sketch: " + what); }

// A key of a narrow type is a value of it, widened.
bool fits(DType dtype, uint64_t key) {
  const auto value = static_cast<int64_t>(key);
  switch (dtype) {
    case DType::kBool:
      return key <= 1;
    case DType::kUint8:
      return key <= UINT8_MAX;
    case DType::kUint16:
      return key <= UINT16_MAX;
    case DType::kUint32:
      return key <= UINT32_MAX;
    case DType::kInt8:
      return value == static_cast<int8_t>(value);
    case DType::kInt16:
      return value == static_cast<int16_t>(value);
    case DType::kInt32:
      return value == static_cast<int32_t>(value);
    default:
      return true;
  }
}

}  // namespace

void CategorySketch::serialize(std::string* out) const {
  sketch::append(out, count_);
  sketch::append(out, missing_);
  sketch::append(out, error_);
  sketch::append(out, static_cast<uint16_t>(entries_.size()));
  sketch::append(out, static_cast<uint8_t>(distinct_ != nullptr));
  for (size_t i = 0; i < entries_.size(); ++i) {
    sketch::append(out, entries_[i].key);
    sketch::append(out, entries_[i].count);
    if (!is_text()) continue;
    sketch::append(out, texts_[i].size);
    sketch::append(out, texts_[i].value);
    out->append(texts_[i].bytes.data(), std::min<size_t>(texts_[i].size, kTextBytes));
  }
  if (distinct_ != nullptr) distinct_->serialize(out);
}

Result<CategorySketch> CategorySketch::parse(DType dtype, ByteSpan bytes) {
  CategorySketch sketch(dtype);
  ByteReader reader(bytes);
  sketch.count_ = reader.read<uint64_t>();
  sketch.missing_ = reader.read<uint64_t>();
  sketch.error_ = reader.read<uint64_t>();
  const auto entries = reader.read<uint16_t>();
  const auto has_distinct = reader.read<uint8_t>();
  if (!reader.ok()) return broken("ends within its counts");
  if (entries > sketch.max_entries() || has_distinct > 1) {
    return broken("has " + std::to_string(entries) + " counters, at most " +
                  std::to_string(sketch.max_entries()) + " are kept");
  }
  for (size_t i = 0; i < entries; ++i) {
    if (Status status = sketch.read_entry(&reader); !status.ok()) return status;
  }
  if (has_distinct == 1) {
    const ByteSpan raw = reader.take(DistinctCount::kSerialBytes);
    if (!reader.ok()) return broken("ends within its distinct count");
    Result<DistinctCount> distinct = DistinctCount::parse(raw);
    if (!distinct.ok()) return distinct.status();
    sketch.distinct_ = std::make_unique<DistinctCount>(*distinct);
  }
  if (reader.left() != 0) {
    return broken(std::to_string(reader.left()) + " bytes are left over at its end");
  }
  if (Status status = sketch.check(); !status.ok()) return status;
  sketch.rebuild_index();
  return sketch;
}

Status CategorySketch::read_entry(ByteReader* reader) {
  const Entry entry = {reader->read<uint64_t>(), reader->read<uint64_t>()};
  Text text;
  if (is_text()) {
    text.size = reader->read<uint8_t>();
    text.value = reader->read<uint8_t>();
    const size_t kept = std::min<size_t>(text.size, kTextBytes);
    const ByteSpan bytes = reader->take(kept);
    if (reader->ok()) std::copy_n(as_text(bytes).data(), kept, text.bytes.data());
  }
  if (!reader->ok()) return broken("ends within its counters");
  if (entry.count == 0 || entry.count >= kMaxCount) return broken("a counter is out of range");
  if (!is_text() && !fits(dtype_, entry.key)) return broken("a value does not fit its type");
  if (is_text()) {
    if (text.size == 0 || text.size > kLongText) return broken("a text's size is out of range");
    if (text.value == 0 || text.value > 63) return broken("a text's hash is out of range");
    const Hash128 hash = murmur3({text.bytes.data(), std::min<size_t>(text.size, kTextBytes)});
    const bool is_whole = text.size < kLongText;
    if (is_whole &&
        (hash.h1 != entry.key || DistinctCount::coupon(hash.h1, hash.h2).value != text.value)) {
      return broken("a text does not fit its hash");
    }
  }
  append(entry, text);
  return ok_status();
}

Status CategorySketch::check() const {
  if (count_ >= kMaxCount || missing_ > count_ || (missing_ > 0 && !is_text())) {
    return broken("the count is " + std::to_string(count_) + ", missing are " +
                  std::to_string(missing_));
  }
  std::vector<uint64_t> keys;
  uint64_t counted = missing_;
  for (const Entry& entry : entries_) {
    keys.push_back(entry.key);
    counted += entry.count;  // of 128 counters below 2^60: no overflow within the check below
    if (counted > count_) return broken("its counters stand for more than its count");
  }
  std::sort(keys.begin(), keys.end());
  if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) {
    return broken("two counters are of the same value");
  }
  if ((error_ > 0) != (distinct_ != nullptr)) return broken("it lacks its distinct count");
  if (error_ == 0 && counted != count_) return broken("its counters do not add up to its count");
  if (error_ > count_ / (max_entries() / 2 + 1)) return broken("its error is above its bound");
  return ok_status();
}

}  // namespace fastserve::sketch
