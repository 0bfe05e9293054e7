#include "fastserve/engine/prediction_store.h"

#include <algorithm>

namespace fastserve::engine {
namespace {

// An eighth of all bytes is the index: full when records take less than 85 bytes each.
constexpr size_t kBytesPerSlot = 64;
constexpr size_t kLeastBytes = size_t{64} << 10;
// Of what is too old; each put adds one record and each call takes away up to so many.
constexpr int kExpiredPerCall = 64;

size_t slots_of(const PredictionStoreOptions& options) {
  return std::min<size_t>(std::max(options.max_bytes, kLeastBytes) / kBytesPerSlot, UINT32_MAX - 1);
}

size_t ring_bytes_of(const PredictionStoreOptions& options) {
  const size_t slots = slots_of(options);
  return std::max(options.max_bytes, kLeastBytes) - slots * RecordIndex::kSlotBytes -
         slots * 3 / 4 * EvictedFilter::kBytesPerName;
}

PredictionStoreOptions checked(PredictionStoreOptions options) {
  // Some records must fit at once, or every put would empty the ring.
  options.max_record_bytes = std::min(options.max_record_bytes, ring_bytes_of(options) / 4);
  return options;
}

uint32_t tag_of(Hash128 hash) { return static_cast<uint32_t>(hash.low); }

}  // namespace

void JoinedBatch::read(size_t entry, std::vector<TensorView>* tensors) const {
  const Entry& found = entries_[entry];
  read_tensors({bytes_.data() + found.offset, found.size}, found.tensors, tensors);
}

PredictionStore::PredictionStore(const PredictionStoreOptions& options)
    : options_(checked(options)),
      ring_(ring_bytes_of(options_)),
      index_(slots_of(options_)),
      filter_(slots_of(options_) * 3 / 4),
      waiting_(options_.max_waiting) {}

void PredictionStore::put(const PredictionRecord& record, Nanos now) {
  const Hash128 hash = sip_hash(sip_hash(options_.key, record.model), record.id);
  const size_t bytes = tensor_bytes(record);
  const bool fits = bytes <= options_.max_record_bytes;
  const std::lock_guard lock(mutex_);
  expire(now, kExpiredPerCall);
  if (record.id.empty()) {
    ++stats_.without_id;
    return;
  }
  ++stats_.kept;
  if (!fits) ++stats_.too_large;
  write(record, hash, fits ? bytes : 0, fits, now);
  if (!waiting_.is_empty() && waiting_.arrive(hash)) ++stats_.early;
}

void PredictionStore::write(const PredictionRecord& record, Hash128 hash, size_t bytes, bool fits,
                            Nanos now) {
  const size_t units = RecordRing::units_of(bytes);
  while (!ring_.has_room(units) || index_.is_full()) drop_oldest(&PredictionStoreStats::evicted);
  const uint32_t position = ring_.append(units);
  RecordHeader* header = ring_.at(position);
  header->flags = fits ? 0 : RecordHeader::kTooLarge;
  header->tensors = 0;
  header->time_ns = record.time_ns;
  header->hash = hash;
  header->put_at = now;
  header->version = record.version;
  if (fits) {
    header->tensors = static_cast<uint16_t>(record.outputs.size());
    if (record.segment != nullptr) {
      header->flags |= RecordHeader::kSegment;
      ++header->tensors;
    }
    write_tensors(record, ring_.tensors(position).data());
  }
  enter(hash, position);
}

void PredictionStore::enter(Hash128 hash, uint32_t position) {
  const uint32_t before = find(hash);
  if (before == RecordIndex::kNone) {
    index_.insert(tag_of(hash), position);
    return;
  }
  ring_.at(before)->flags |= RecordHeader::kReplaced;
  index_.move(tag_of(hash), before, position);
  ++stats_.replaced;
}

void PredictionStore::join(std::string_view model, const std::vector<std::string_view>& ids,
                           bool may_wait, Nanos now, JoinedBatch* batch) {
  const Hash128 key = sip_hash(options_.key, model);
  for (const std::string_view id : ids) {
    const Hash128 hash = sip_hash(key, id);
    const std::lock_guard lock(mutex_);
    batch->entries_.push_back(join_one(hash, may_wait, now, batch));
  }
}

JoinedBatch::Entry PredictionStore::join_one(Hash128 hash, bool may_wait, Nanos now,
                                             JoinedBatch* batch) {
  expire(now, kExpiredPerCall);
  const uint32_t position = find(hash);
  if (position == RecordIndex::kNone) return missing(hash, may_wait, now);
  RecordHeader* header = ring_.at(position);
  JoinedBatch::Entry entry;
  entry.version = header->version;
  entry.time_ns = header->time_ns;
  if (header->put_at + options_.max_age <= now) {
    // Too old, and not swept yet.
    ++stats_.late;
    entry.outcome = JoinOutcome::kLate;
  } else if (header->flags & RecordHeader::kTooLarge) {
    ++stats_.unknown;
    entry.outcome = JoinOutcome::kTooLarge;
  } else if (header->flags & RecordHeader::kJoined) {
    ++stats_.duplicate;
    entry.outcome = JoinOutcome::kDuplicate;
  } else {
    ++stats_.joined;
    header->flags |= RecordHeader::kJoined;
    const ByteSpan bytes = ring_.tensors(position);
    entry.outcome = JoinOutcome::kJoined;
    entry.has_segment = (header->flags & RecordHeader::kSegment) != 0;
    entry.tensors = header->tensors;
    entry.offset = batch->bytes_.size();
    entry.size = bytes.size();
    batch->bytes_.insert(batch->bytes_.end(), bytes.begin(), bytes.end());
  }
  return entry;
}

JoinedBatch::Entry PredictionStore::missing(Hash128 hash, bool may_wait, Nanos now) {
  JoinedBatch::Entry entry;
  if (filter_.contains(hash)) {
    ++stats_.late;
    entry.outcome = JoinOutcome::kLate;
    return entry;
  }
  if (waiting_.contains(hash)) {
    ++stats_.duplicate;
    entry.outcome = JoinOutcome::kDuplicate;
    return entry;
  }
  if (may_wait) entry.ticket = waiting_.add(hash, now + options_.max_wait);
  if (entry.ticket != 0) {
    entry.outcome = JoinOutcome::kWaiting;
  } else {
    ++stats_.unknown;
  }
  return entry;
}

void PredictionStore::release(std::string_view model, std::string_view id) {
  const Hash128 hash = sip_hash(sip_hash(options_.key, model), id);
  const std::lock_guard lock(mutex_);
  const uint32_t position = find(hash);
  if (position == RecordIndex::kNone) return;
  RecordHeader* header = ring_.at(position);
  if (!(header->flags & RecordHeader::kJoined)) return;
  header->flags &= static_cast<uint16_t>(~RecordHeader::kJoined);
  --stats_.joined;
}

void PredictionStore::take_waited(Nanos now, std::vector<uint64_t>* arrived,
                                  std::vector<uint64_t>* expired) {
  const std::lock_guard lock(mutex_);
  expire(now, kExpiredPerCall);
  waiting_.take(arrived, expired);
}

PredictionStoreStats PredictionStore::stats() const {
  const std::lock_guard lock(mutex_);
  PredictionStoreStats stats = stats_;
  stats.records = index_.size();
  stats.bytes = ring_.used_units() * RecordRing::kUnit;
  stats.waiting = waiting_.size();
  return stats;
}

uint32_t PredictionStore::find(Hash128 hash) const {
  return index_.find(tag_of(hash), [&](uint32_t at) { return ring_.at(at)->hash == hash; });
}

void PredictionStore::drop_oldest(uint64_t PredictionStoreStats::*reason) {
  const uint32_t position = ring_.oldest();
  const RecordHeader* header = ring_.at(position);
  if (!(header->flags & (RecordHeader::kPadding | RecordHeader::kReplaced))) {
    filter_.insert(header->hash);
    index_.erase(tag_of(header->hash), position);
    ++(stats_.*reason);
  }
  ring_.drop_oldest();
}

void PredictionStore::expire(Nanos now, int most) {
  for (int i = 0; i < most && !ring_.is_empty(); ++i) {
    const RecordHeader* oldest = ring_.at(ring_.oldest());
    const bool is_padding = (oldest->flags & RecordHeader::kPadding) != 0;
    if (!is_padding && now - oldest->put_at < options_.max_age) break;
    drop_oldest(&PredictionStoreStats::expired);
  }
  stats_.unknown += waiting_.expire(now);
}

}  // namespace fastserve::engine
