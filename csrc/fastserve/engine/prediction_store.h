// Keeps what was predicted until its label comes, which may be minutes or days later.
//
// Idea: the last N bytes of predictions in one ring, found by a 128-bit keyed hash of model and
// request id. The oldest leave when the bytes run out or when they are too old, whichever is first.
// Nothing here grows: ring, index and filter are cut from `max_bytes` when the store is made, and
// become real memory page by page as they are used.
//
//   put:  hash -> make room (the oldest go into the filter) -> write behind the last -> index
//   join: hash -> index -> copy out; not there -> filter: late; else the label waits, or is unknown
//
// Cost: put copies the outputs once and touches two cache lines more; join the same. Both hold one
// mutex for that long, never across a search that grows with what is stored.
//
// What it does not do: survive a restart, or tell two ids with one hash apart (SipHash with a key
// that is drawn at random for each store: 2^-128 for a pair).
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/engine/evicted_filter.h"
#include "fastserve/engine/prediction_record.h"
#include "fastserve/engine/record_index.h"
#include "fastserve/engine/record_ring.h"
#include "fastserve/engine/waiting_labels.h"

namespace fastserve::engine {

struct PredictionStoreOptions {
  size_t max_bytes = size_t{64} << 20;  // ring, index and filter together
  size_t max_record_bytes = 4096;       // of one request's tensors; of larger ones none is kept
  Nanos max_age = 24 * 3600 * kSecond;
  size_t max_waiting = 10'000;  // labels that came before their prediction
  Nanos max_wait = 60 * kSecond;
  Hash128 key = {};  // secret and random, against ids made to collide
};

// What became of a label.
enum class JoinOutcome : uint8_t {
  kJoined,
  kDuplicate,  // the prediction has its label, or one waits for it
  kTooLarge,   // the prediction was seen, its outputs were not kept
  kLate,       // the prediction was there and was evicted or expired
  kWaiting,    // no prediction yet; the label waits for it
  kUnknown,    // no such prediction, and the label does not wait
};

struct PredictionStoreStats {
  uint64_t kept = 0;        // predictions put, those too large included
  uint64_t without_id = 0;  // not kept: nobody could name them
  uint64_t too_large = 0;
  uint64_t replaced = 0;  // by a later prediction with the same id
  uint64_t evicted = 0;   // left for want of room
  uint64_t expired = 0;   // left for age
  uint64_t joined = 0;
  uint64_t early = 0;  // labels whose prediction came while they waited; they are joined as well
  uint64_t late = 0;
  uint64_t unknown = 0;  // those that waited in vain included
  uint64_t duplicate = 0;
  uint64_t records = 0;  // now
  uint64_t bytes = 0;    // of the ring in use now
  uint64_t waiting = 0;  // now
};

// Predictions that were joined; kept between calls, it allocates no more.
class JoinedBatch {
 public:
  struct Entry {
    JoinOutcome outcome = JoinOutcome::kUnknown;
    bool has_segment = false;
    int64_t version = 0;
    int64_t time_ns = 0;
    uint64_t ticket = 0;  // of a label that waits
    size_t offset = 0;
    size_t size = 0;
    size_t tensors = 0;
  };

  void clear() { entries_.clear(), bytes_.clear(); }
  const std::vector<Entry>& entries() const { return entries_; }
  // The entry's tensors, the segment first where it has one; views into this batch.
  void read(size_t entry, std::vector<TensorView>* tensors) const;

 private:
  friend class PredictionStore;
  std::vector<Entry> entries_;
  std::vector<std::byte> bytes_;
};

// Thread: any; the observer's thread puts, the control plane joins. `now` is the monotonic clock's.
class PredictionStore {
 public:
  explicit PredictionStore(const PredictionStoreOptions& options);

  // Never allocates. A prediction with the id of an earlier one takes its place.
  void put(const PredictionRecord& record, Nanos now);

  // Adds one entry to `batch` for each id. Without `may_wait`, a label whose prediction is not
  // there is unknown at once.
  void join(std::string_view model, const std::vector<std::string_view>& ids, bool may_wait,
            Nanos now, JoinedBatch* batch);
  // The label was of no use: the prediction waits for another one, and the join is not counted.
  void release(std::string_view model, std::string_view id);
  // Tickets of labels whose prediction has come, and of those that waited in vain, each once.
  void take_waited(Nanos now, std::vector<uint64_t>* arrived, std::vector<uint64_t>* expired);

  PredictionStoreStats stats() const;
  // Bytes that the ring can hold.
  size_t ring_bytes() const { return ring_.units() * RecordRing::kUnit; }

 private:
  // All of these: with the mutex held.
  JoinedBatch::Entry join_one(Hash128 hash, bool may_wait, Nanos now, JoinedBatch* batch);
  JoinedBatch::Entry missing(Hash128 hash, bool may_wait, Nanos now);
  uint32_t find(Hash128 hash) const;
  void write(const PredictionRecord& record, Hash128 hash, size_t bytes, bool fits, Nanos now);
  void enter(Hash128 hash, uint32_t position);
  void drop_oldest(uint64_t PredictionStoreStats::*reason);
  void expire(Nanos now, int most);

  const PredictionStoreOptions options_;
  mutable std::mutex mutex_;
  RecordRing ring_;
  RecordIndex index_;
  EvictedFilter filter_;
  WaitingLabels waiting_;
  PredictionStoreStats stats_;
};

}  // namespace fastserve::engine
