// Deficit round robin between lanes on predicted compute time, so that a heavy model cannot starve
// a light one. Source: Shreedhar and Varghese, "Efficient fair queuing using deficit round robin",
// 1995.
//
// Thread: the owner's lock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "fastserve/base/clock.h"

namespace fastserve::batch {

// One participant, intrusive in whatever owns lanes.
struct Turn {
  Turn* previous = nullptr;
  Turn* next = nullptr;
  bool is_active = false;
  Nanos deficit = 0;
  uint32_t weight = 1;
};

class RoundRobin {
 public:
  // What a participant of weight 1 gains per round. Over any time in which two participants are
  // both active, their shares (time / weight) differ by at most one quantum and one run of each.
  static constexpr Nanos kQuantum = 100 * kMicrosecond;
  // No run counts as less: a participant whose cost is not known yet cannot hold the turn for ever.
  static constexpr Nanos kMinimumCost = kMicrosecond;

  bool empty() const { return current_ == nullptr; }
  // Joins at the end of the round; no effect when active.
  void activate(Turn* turn);
  // Leaves and forgets its deficit; no effect when not active.
  void deactivate(Turn* turn);
  // Whose turn it is: the first participant, in order, whose deficit covers cost(turn) (predicted
  // time of its next batch); deficits grow by weight * quantum per round. O(active) at most, never
  // loops without end. Null when empty. Does not charge.
  template <typename Cost>
  Turn* choose(Cost&& cost);
  // `turn` used `spent` of its deficit, which may go below zero (a run that took longer than was
  // predicted is paid for later). No effect when not active.
  void charge(Turn* turn, Nanos spent);

 private:
  Turn* current_ = nullptr;
};

template <typename Cost>
Turn* RoundRobin::choose(Cost&& cost) {
  if (current_ == nullptr) return nullptr;
  auto rounds_until_covered = [&cost](const Turn& turn) -> Nanos {
    Nanos missing = std::max<Nanos>(cost(turn), kMinimumCost) - turn.deficit;
    Nanos gain = kQuantum * std::max(turn.weight, 1u);
    return missing <= 0 ? 0 : (missing + gain - 1) / gain;
  };
  // The holder of the turn keeps it while its deficit lasts; then the next in the ring has it.
  if (rounds_until_covered(*current_) == 0) return current_;
  Turn* start = current_->next;
  Turn* chosen = nullptr;
  Nanos fewest = 0;
  Turn* turn = start;
  do {
    Nanos rounds = rounds_until_covered(*turn);
    if (chosen == nullptr || rounds < fewest) {
      chosen = turn;
      fewest = rounds;
    }
    turn = turn->next;
  } while (turn != start && fewest > 0);
  // Nobody can pay: let as many rounds pass at once as the first to be able needs.
  if (fewest > 0) {
    turn = start;
    do {
      turn->deficit += fewest * kQuantum * std::max(turn->weight, 1u);
      turn = turn->next;
    } while (turn != start);
  }
  current_ = chosen;
  return chosen;
}

}  // namespace fastserve::batch
