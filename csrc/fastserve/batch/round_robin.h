// Deficit round robin between lanes on predicted compute time, so that a heavy model cannot starve a
// light one. Source: Shreedhar and Varghese, "Efficient fair queuing using deficit round robin", 1995.
//
// Thread: the owner's lock.
#pragma once

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
  bool empty() const { return current_ == nullptr; }
  // Joins at the end of the round; no effect when active.
  void activate(Turn* turn);
  // Leaves and forgets its deficit; no effect when not active.
  void deactivate(Turn* turn);
  // Whose turn it is: the first participant, in order, whose deficit covers cost(turn) (predicted time
  // of its next batch); deficits grow by weight * quantum per round. O(active) at most, never loops
  // without end. Null when empty. Does not charge.
  template <typename Cost>
  Turn* choose(Cost&& cost);
  // `turn` used `spent` of its deficit.
  void charge(Turn* turn, Nanos spent);

 private:
  Turn* current_ = nullptr;
};

}  // namespace fastserve::batch
