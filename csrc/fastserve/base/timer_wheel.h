// Timers of one thread: a hashed wheel with O(1) insert and remove and no allocation.
//
// Idea (Varghese & Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6): time is
// cut into ticks of 2^20 ns (1.05 ms); a timer lies in the slot of its tick modulo 1024. A timer
// more than one turn (1.07 s) away stays in its slot and is passed over until its turn comes. A
// bitmap says which slots hold something, and each slot knows a lower bound of its times, so that
// passing over far timers costs one comparison per slot.
//
// Most timers (call deadlines) are removed long before they are due, so removal leaves the bounds
// stale: next() may then be earlier than the earliest timer, never later. It is put right when that
// time comes.
//
// A timer fires in the first advance(now) with now >= when: never early, and as late as the caller
// calls. Timers of one tick fire in no particular order.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "fastserve/base/clock.h"

namespace fastserve {

class TimerWheel;

// Embedded in what it times, which stays where it is while the timer is armed.
class Timer {
 public:
  // Runs inside advance(), disarmed; may arm, disarm or destroy any timer, itself too.
  using OnExpire = void (*)(Timer& timer, void* owner, Nanos now);

  Timer() = default;
  Timer(OnExpire on_expire, void* owner) : on_expire_(on_expire), owner_(owner) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  // An armed timer must be removed from its wheel before it dies.
  ~Timer() = default;

  void set(OnExpire on_expire, void* owner) {
    on_expire_ = on_expire;
    owner_ = owner;
  }
  bool is_armed() const { return links_.next != nullptr; }
  // When it is due; kNever when not armed.
  Nanos when() const { return is_armed() ? when_ : kNever; }

 private:
  friend class TimerWheel;
  struct Links {
    Links* next = nullptr;
    Links* previous = nullptr;
  };
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  Links links_;  // first: a Links* of a list is the Timer* (static_assert below)
  Nanos when_ = kNever;
  uint32_t slot_ = kNoSlot;
  OnExpire on_expire_ = nullptr;
  void* owner_ = nullptr;
};

class TimerWheel {
 public:
  // `now`: nothing is due before it. Times may be in the past; such a timer is due at once.
  explicit TimerWheel(Nanos now) : tick_(tick_of(now)) {
    for (Links& head : heads_) head.next = head.previous = &head;
    bounds_.fill(kNever);
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arms `timer`; one that is armed moves. kNever disarms.
  void arm(Timer& timer, Nanos when) {
    disarm(timer);
    if (when == kNever) return;
    const uint32_t slot = static_cast<uint32_t>(std::max(tick_of(when), tick_)) & kSlotMask;
    timer.when_ = when;
    timer.slot_ = slot;
    link(heads_[slot], timer);
    occupied_[slot / 64] |= uint64_t{1} << (slot % 64);
    bounds_[slot] = std::min(bounds_[slot], when);
    next_ = std::min(next_, when);
    ++size_;
  }

  void disarm(Timer& timer) {
    if (!timer.is_armed()) return;
    unlink(timer);
    --size_;
    if (timer.slot_ == Timer::kNoSlot) return;  // due, in the middle of advance()
    if (heads_[timer.slot_].next == &heads_[timer.slot_]) clear_slot(timer.slot_);
  }

  // Fires every timer with when <= now. `now` never goes back.
  void advance(Nanos now) {
    if (now < next_) return;
    Links due;
    due.next = due.previous = &due;
    const int64_t last = tick_of(now);
    // Slots of the ticks gone by since the last time, each once even if whole turns went by.
    const int64_t span = std::min<int64_t>(last - tick_ + 1, kSlots);
    visit_occupied(static_cast<uint32_t>(tick_) & kSlotMask, static_cast<uint32_t>(span),
                   [&](uint32_t slot) {
                     if (bounds_[slot] <= now) collect(slot, now, due);
                     return false;
                   });
    tick_ = last;
    next_ = earliest();
    while (due.next != &due) {
      Timer& timer = *reinterpret_cast<Timer*>(due.next);
      unlink(timer);
      --size_;
      timer.on_expire_(timer, timer.owner_, now);
    }
  }

  // No timer is due before this; kNever when there is none.
  Nanos next() const { return size_ == 0 ? kNever : next_; }
  size_t size() const { return size_; }

 private:
  using Links = Timer::Links;
  static constexpr int kTickBits = 20;
  static constexpr uint32_t kSlots = 1024;
  static constexpr uint32_t kSlotMask = kSlots - 1;
  static constexpr uint32_t kWords = kSlots / 64;

  static int64_t tick_of(Nanos when) { return when >> kTickBits; }

  static void link(Links& head, Timer& timer) {
    timer.links_.next = &head;
    timer.links_.previous = head.previous;
    head.previous->next = &timer.links_;
    head.previous = &timer.links_;
  }
  static void unlink(Timer& timer) {
    timer.links_.previous->next = timer.links_.next;
    timer.links_.next->previous = timer.links_.previous;
    timer.links_ = {};
  }

  void clear_slot(uint32_t slot) {
    occupied_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
    bounds_[slot] = kNever;
  }

  // Moves what is due from a slot to `due` and makes the slot's bound exact.
  void collect(uint32_t slot, Nanos now, Links& due) {
    Links& head = heads_[slot];
    Nanos bound = kNever;
    for (Links* node = head.next; node != &head;) {
      Timer& timer = *reinterpret_cast<Timer*>(node);
      node = node->next;
      if (timer.when_ <= now) {
        unlink(timer);
        timer.slot_ = Timer::kNoSlot;
        link(due, timer);
      } else {
        bound = std::min(bound, timer.when_);
      }
    }
    bounds_[slot] = bound;
    if (head.next == &head) clear_slot(slot);
  }

  // The least bound. Stops at the first slot whose bound lies in this turn: later slots are later.
  Nanos earliest() const {
    Nanos least = kNever;
    const_cast<TimerWheel*>(this)->visit_occupied(
        static_cast<uint32_t>(tick_) & kSlotMask, kSlots, [&](uint32_t slot) {
          least = std::min(least, bounds_[slot]);
          const int64_t offset = (slot - static_cast<uint32_t>(tick_)) & kSlotMask;
          return least != kNever && tick_of(least) <= tick_ + offset;
        });
    return least;
  }

  // Calls visit(slot) for occupied slots among `count` from `first` on, in order of time, until it
  // returns true.
  template <typename Visit>
  void visit_occupied(uint32_t first, uint32_t count, Visit visit) {
    for (uint32_t offset = 0; offset < count;) {
      const uint32_t slot = (first + offset) & kSlotMask;
      const uint64_t rest = occupied_[slot / 64] >> (slot % 64);
      if (rest == 0) {
        offset += 64 - slot % 64;
        continue;
      }
      const uint32_t skip = static_cast<uint32_t>(std::countr_zero(rest));
      offset += skip;
      if (offset >= count) return;
      if (visit(slot + skip)) return;
      ++offset;
    }
  }

  int64_t tick_;         // every earlier tick was collected
  Nanos next_ = kNever;  // lower bound of every armed time
  size_t size_ = 0;
  std::array<uint64_t, kWords> occupied_{};
  std::array<Nanos, kSlots> bounds_;
  std::array<Links, kSlots> heads_;
};

}  // namespace fastserve
