#include "fastserve/batch/round_robin.h"

namespace fastserve::batch {

void RoundRobin::activate(Turn* turn) {
  if (turn->is_active) return;
  turn->is_active = true;
  turn->deficit = 0;
  if (current_ == nullptr) {
    turn->previous = turn;
    turn->next = turn;
    current_ = turn;
    return;
  }
  // The end of the round is the place before the holder of the turn.
  turn->next = current_;
  turn->previous = current_->previous;
  turn->previous->next = turn;
  current_->previous = turn;
}

void RoundRobin::deactivate(Turn* turn) {
  if (!turn->is_active) return;
  if (turn->next == turn) {
    current_ = nullptr;
  } else {
    turn->previous->next = turn->next;
    turn->next->previous = turn->previous;
    if (current_ == turn) current_ = turn->next;
  }
  turn->previous = nullptr;
  turn->next = nullptr;
  turn->is_active = false;
  turn->deficit = 0;
}

void RoundRobin::charge(Turn* turn, Nanos spent) {
  if (turn->is_active) turn->deficit -= std::max(spent, kMinimumCost);
}

}  // namespace fastserve::batch
