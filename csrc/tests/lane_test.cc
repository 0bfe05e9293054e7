#include "fastserve/batch/lane.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <random>
#include <vector>

using namespace fastserve;
using namespace fastserve::batch;

namespace {

void check_equal(const Lane& lane, const std::list<LaneEntry*>& model) {
  uint64_t rows = 0;
  uint64_t bytes = 0;
  LaneEntry* previous = nullptr;
  LaneEntry* entry = lane.head();
  for (LaneEntry* want : model) {
    REQUIRE(entry == want);
    REQUIRE(entry->previous == previous);
    rows += entry->rows;
    bytes += entry->bytes;
    previous = entry;
    entry = entry->next;
  }
  REQUIRE(entry == nullptr);
  REQUIRE(lane.count() == model.size());
  REQUIRE(lane.rows() == rows);
  REQUIRE(lane.bytes() == bytes);
  REQUIRE(lane.empty() == model.empty());
}

}  // namespace

TEST_CASE("lane agrees with a sorted list over random pushes and removals") {
  constexpr uint32_t kRanks = 4;
  std::mt19937 random(5);
  std::vector<std::unique_ptr<LaneEntry>> entries;
  for (int i = 0; i < 40; ++i) entries.push_back(std::make_unique<LaneEntry>());
  std::vector<LaneEntry*> outside;
  for (auto& entry : entries) outside.push_back(entry.get());
  Lane lane;
  lane.set_ranks(kRanks);
  std::list<LaneEntry*> model;
  for (int step = 0; step < 50'000; ++step) {
    bool is_push = model.empty() || (!outside.empty() && random() % 2 == 0);
    if (is_push) {
      size_t pick = random() % outside.size();
      LaneEntry* entry = outside[pick];
      outside.erase(outside.begin() + static_cast<std::ptrdiff_t>(pick));
      entry->rows = 1 + random() % 9;
      entry->bytes = random() % 1000;
      entry->rank = random() % kRanks;
      lane.push(entry);
      auto place = std::find_if(model.begin(), model.end(), [entry](const LaneEntry* other) {
        return other->rank > entry->rank;
      });
      model.insert(place, entry);
    } else {
      auto place = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
      LaneEntry* entry = *place;
      model.erase(place);
      lane.remove(entry);
      REQUIRE(entry->next == nullptr);
      REQUIRE(entry->previous == nullptr);
      outside.push_back(entry);
    }
    check_equal(lane, model);
  }
}

TEST_CASE("lane keeps arrival order within a rank") {
  Lane lane;
  lane.set_ranks(2);
  LaneEntry late_urgent, first, second;
  late_urgent.rank = 0;
  first.rank = second.rank = 1;
  lane.push(&first);
  lane.push(&second);
  lane.push(&late_urgent);
  CHECK(lane.head() == &late_urgent);
  CHECK(late_urgent.next == &first);
  CHECK(first.next == &second);
}
