#include "fastserve/base/timer_wheel.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace fastserve {
namespace {

struct Entry {
  Timer timer;
  int fired = 0;
  Nanos fired_at = 0;
};

void note(Timer&, void* owner, Nanos now) {
  auto* entry = static_cast<Entry*>(owner);
  ++entry->fired;
  entry->fired_at = now;
}

TEST_CASE("timer_wheel fires at the first advance that reaches the time and never before") {
  TimerWheel wheel(0);
  Entry entry;
  entry.timer.set(note, &entry);
  wheel.arm(entry.timer, 5 * kMillisecond);
  CHECK(wheel.next() == 5 * kMillisecond);
  wheel.advance(5 * kMillisecond - 1);
  CHECK(entry.fired == 0);
  wheel.advance(5 * kMillisecond);
  CHECK(entry.fired == 1);
  CHECK(wheel.next() == kNever);
  wheel.advance(kSecond);
  CHECK(entry.fired == 1);
}

TEST_CASE("timer_wheel keeps a timer many turns away until its own turn") {
  TimerWheel wheel(7 * kSecond);
  Entry entry;
  entry.timer.set(note, &entry);
  const Nanos when = 67 * kSecond + 123;
  wheel.arm(entry.timer, when);
  CHECK(wheel.next() == when);
  for (Nanos now = 7 * kSecond; now < when; now += 33 * kMillisecond) {
    wheel.advance(now);
    REQUIRE(entry.fired == 0);
    REQUIRE(wheel.next() == when);
  }
  wheel.advance(when);
  CHECK(entry.fired == 1);
}

TEST_CASE("timer_wheel fires a time in the past at the next advance") {
  TimerWheel wheel(10 * kSecond);
  Entry entry;
  entry.timer.set(note, &entry);
  wheel.arm(entry.timer, kSecond);
  CHECK(wheel.next() <= 10 * kSecond);
  wheel.advance(10 * kSecond);
  CHECK(entry.fired == 1);
}

TEST_CASE("timer_wheel lets a callback arm its own timer and disarm another one that is due") {
  struct Pair {
    TimerWheel wheel{0};
    Timer first;
    Timer second;
    int fired = 0;
  } pair;
  const auto on_expire = [](Timer& self, void* owner, Nanos now) {
    auto& pair = *static_cast<Pair*>(owner);
    ++pair.fired;
    pair.wheel.disarm(&self == &pair.first ? pair.second : pair.first);
    pair.wheel.arm(self, now + kMillisecond);
  };
  pair.first.set(on_expire, &pair);
  pair.second.set(on_expire, &pair);
  pair.wheel.arm(pair.first, 3 * kMillisecond);
  pair.wheel.arm(pair.second, 3 * kMillisecond);
  pair.wheel.advance(4 * kMillisecond);
  CHECK(pair.fired == 1);
  CHECK(pair.wheel.size() == 1);
  CHECK(pair.wheel.next() == 5 * kMillisecond);
}

TEST_CASE("timer_wheel agrees with an ordered map on random arms, disarms and advances") {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Nanos now = static_cast<Nanos>(random() % (1000 * kSecond));
    TimerWheel wheel(now);
    std::vector<std::unique_ptr<Entry>> entries;
    for (int i = 0; i < 300; ++i) {
      entries.push_back(std::make_unique<Entry>());
      entries.back()->timer.set(note, entries.back().get());
    }
    std::multimap<Nanos, Entry*> model;
    const auto forget = [&](Entry* entry) {
      for (auto it = model.begin(); it != model.end(); ++it) {
        if (it->second == entry) {
          model.erase(it);
          return;
        }
      }
    };
    const Nanos reach[] = {kMillisecond, 50 * kMillisecond, kSecond, 100 * kSecond};
    for (int step = 0; step < 5000; ++step) {
      Entry* entry = entries[random() % entries.size()].get();
      switch (random() % 4) {
        case 0:
        case 1: {
          const Nanos span = reach[random() % 4];
          const Nanos when = now + static_cast<Nanos>(random() % span) - span / 16;
          forget(entry);
          wheel.arm(entry->timer, when);
          model.emplace(when, entry);
          break;
        }
        case 2:
          forget(entry);
          wheel.disarm(entry->timer);
          break;
        default: {
          now += static_cast<Nanos>(random() % (reach[random() % 4] / 8 + 1));
          for (auto& each : entries) each->fired = 0;
          wheel.advance(now);
          std::map<Entry*, int> expected;
          while (!model.empty() && model.begin()->first <= now) {
            ++expected[model.begin()->second];
            model.erase(model.begin());
          }
          bool agrees = true;
          for (auto& each : entries) {
            agrees = agrees && each->fired == expected[each.get()];
            agrees = agrees && (each->fired == 0 || each->fired_at == now);
          }
          REQUIRE(agrees);
          break;
        }
      }
      REQUIRE(wheel.size() == model.size());
      const Nanos next = wheel.next();
      if (model.empty()) {
        REQUIRE(next == kNever);
      } else {
        REQUIRE(next <= model.begin()->first);
      }
    }
    for (auto& each : entries) wheel.disarm(each->timer);
    CHECK(wheel.next() == kNever);
  }
}

TEST_CASE("timer_wheel wakes a sleeper a bounded number of times for timers that were disarmed") {
  TimerWheel wheel(0);
  std::vector<std::unique_ptr<Entry>> entries;
  for (int i = 0; i < 5000; ++i) {
    entries.push_back(std::make_unique<Entry>());
    entries.back()->timer.set(note, entries.back().get());
    wheel.arm(entries.back()->timer, 60 * kSecond + i * 10 * kMillisecond);
  }
  Entry near;
  near.timer.set(note, &near);
  wheel.arm(near.timer, kMillisecond);
  wheel.disarm(near.timer);
  // A loop that sleeps until next(): one stale wake-up, then straight to the first real timer.
  int wakes = 0;
  Nanos now = 0;
  while (entries[0]->fired == 0 && wakes < 100) {
    now = wheel.next();
    wheel.advance(now);
    ++wakes;
  }
  CHECK(entries[0]->fired == 1);
  CHECK(now == 60 * kSecond);
  CHECK(wakes <= 4);
  for (auto& each : entries) wheel.disarm(each->timer);
}

}  // namespace
}  // namespace fastserve
