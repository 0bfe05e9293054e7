#include "fastserve/batch/round_robin.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <set>
#include <vector>

using namespace fastserve;
using namespace fastserve::batch;

namespace {

struct Participant {
  Turn turn;
  Nanos cost = 0;
  Nanos spent = 0;
};

// `turn` is the first member.
Participant& owner(Turn& turn) { return reinterpret_cast<Participant&>(turn); }
Nanos cost_of(const Turn& turn) { return reinterpret_cast<const Participant&>(turn).cost; }

struct Cost {
  Nanos operator()(const Turn& turn) const { return cost_of(turn); }
};

Participant& serve(RoundRobin* ring) {
  Turn* turn = ring->choose(Cost{});
  REQUIRE(turn != nullptr);
  Participant& chosen = owner(*turn);
  ring->charge(turn, chosen.cost);
  chosen.spent += chosen.cost;
  return chosen;
}

}  // namespace

TEST_CASE("round robin is empty without participants and gives a lone one every turn") {
  RoundRobin ring;
  CHECK(ring.empty());
  CHECK(ring.choose(Cost{}) == nullptr);
  Participant one;
  one.cost = kSecond;
  ring.activate(&one.turn);
  ring.activate(&one.turn);  // no effect
  for (int i = 0; i < 10; ++i) CHECK(&serve(&ring) == &one);
  ring.deactivate(&one.turn);
  ring.deactivate(&one.turn);  // no effect
  CHECK(ring.empty());
  CHECK_FALSE(one.turn.is_active);
}

TEST_CASE("round robin keeps shares within a quantum and a run of each at any time") {
  std::mt19937_64 random(23);
  for (int round = 0; round < 50; ++round) {
    std::vector<Participant> all(2 + random() % 6);
    RoundRobin ring;
    Nanos largest = 0;
    uint32_t heaviest = 1;
    for (Participant& one : all) {
      one.cost = static_cast<Nanos>(2'000 + random() % (uint64_t{1} << (12 + random() % 14)));
      one.turn.weight = static_cast<uint32_t>(1 + random() % 3);
      largest = std::max(largest, one.cost);
      heaviest = std::max(heaviest, one.turn.weight);
      ring.activate(&one.turn);
    }
    for (int i = 0; i < 2000; ++i) {
      serve(&ring);
      auto share = [](const Participant& one) {
        return static_cast<double>(one.spent) / one.turn.weight;
      };
      for (const Participant& a : all) {
        for (const Participant& b : all) {
          REQUIRE(std::abs(share(a) - share(b)) <=
                  static_cast<double>(RoundRobin::kQuantum + a.cost + b.cost));
        }
      }
    }
  }
}

TEST_CASE("round robin gives time by weight within 5 percent, whatever a run costs") {
  std::array<Participant, 3> all;
  all[0].cost = 40 * kMillisecond;  // a heavy model
  all[1].cost = 50 * kMicrosecond;  // a light one
  all[2].cost = 3 * kMillisecond;
  all[0].turn.weight = 1;
  all[1].turn.weight = 2;
  all[2].turn.weight = 5;
  RoundRobin ring;
  for (Participant& one : all) ring.activate(&one.turn);
  Nanos total = 0;
  while (total < 60 * kSecond) total += serve(&ring).cost;
  for (const Participant& one : all) {
    double want = static_cast<double>(total) * one.turn.weight / 8;
    CHECK(std::abs(static_cast<double>(one.spent) - want) <= 0.05 * want);
  }
}

TEST_CASE("round robin pays back a run that took longer than was predicted") {
  Participant honest;
  Participant optimist;
  honest.cost = kMillisecond;
  optimist.cost = kMillisecond;
  RoundRobin ring;
  ring.activate(&honest.turn);
  ring.activate(&optimist.turn);
  for (int i = 0; i < 4000; ++i) {
    Turn* turn = ring.choose(Cost{});
    Nanos spent = turn == &optimist.turn ? 7 * kMillisecond : kMillisecond;
    ring.charge(turn, spent);
    owner(*turn).spent += spent;
  }
  CHECK(std::abs(static_cast<double>(honest.spent - optimist.spent)) <
        0.01 * static_cast<double>(honest.spent));
}

TEST_CASE("round robin lets nobody whose cost is unknown keep the turn") {
  Participant unknown;
  Participant known;
  known.cost = 10 * kMicrosecond;
  RoundRobin ring;
  ring.activate(&unknown.turn);
  ring.activate(&known.turn);
  int known_turns = 0;
  for (int i = 0; i < 1000; ++i) known_turns += &serve(&ring) == &known;
  CHECK(known_turns >= 50);
}

TEST_CASE("round robin keeps its ring over random joining and leaving") {
  std::mt19937 random(29);
  std::vector<Participant> all(8);
  std::set<Participant*> active;
  RoundRobin ring;
  for (Participant& one : all) one.cost = 1 + static_cast<Nanos>(random() % 500'000);
  for (int step = 0; step < 20'000; ++step) {
    Participant& one = all[random() % all.size()];
    if (active.contains(&one)) {
      ring.deactivate(&one.turn);
      active.erase(&one);
      REQUIRE(one.turn.deficit == 0);
      ring.charge(&one.turn, 1000);  // no effect
      REQUIRE(one.turn.deficit == 0);
    } else {
      ring.activate(&one.turn);
      active.insert(&one);
    }
    REQUIRE(ring.empty() == active.empty());
    if (!active.empty()) REQUIRE(active.contains(&serve(&ring)));
  }
  // Everybody who stays gets a turn.
  for (Participant& one : all) ring.activate(&one.turn);
  std::set<Participant*> served;
  for (int i = 0; i < 5000; ++i) served.insert(&serve(&ring));
  CHECK(served.size() == all.size());
}
