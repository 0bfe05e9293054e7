#include "fastserve/net/spinner.h"

#include <doctest/doctest.h>

using fastserve::kMicrosecond;
using fastserve::kMillisecond;
using fastserve::net::Spinner;

namespace {
constexpr fastserve::Nanos kBudget = 50 * kMicrosecond;
}

TEST_CASE("a loop that has seen nothing sleeps at once") { CHECK(Spinner(kBudget).budget() == 0); }

TEST_CASE("events in quick succession make the loop poll, a budget at most") {
  Spinner spinner(kBudget);
  for (int i = 0; i < 200; ++i) spinner.observe(70 * kMicrosecond, /*slept=*/true);
  CHECK(spinner.budget() == kBudget);
}

TEST_CASE("sparse events end the polling") {
  Spinner spinner(kBudget);
  for (int i = 0; i < 200; ++i) spinner.observe(10 * kMicrosecond, /*slept=*/false);
  REQUIRE(spinner.budget() > 0);
  int silences = 0;
  while (spinner.budget() > 0) {
    spinner.observe(kMillisecond, /*slept=*/true);
    REQUIRE(++silences < 10);
  }
}

TEST_CASE("one silence among many quick events does not end the polling for long") {
  Spinner spinner(kBudget);
  for (int i = 0; i < 200; ++i) spinner.observe(5 * kMicrosecond, /*slept=*/false);
  spinner.observe(fastserve::kSecond, /*slept=*/true);
  int events = 0;
  while (spinner.budget() == 0) {
    spinner.observe(5 * kMicrosecond, /*slept=*/false);
    REQUIRE(++events < 20);
  }
}

TEST_CASE("a budget of zero never polls") {
  Spinner spinner(0);
  for (int i = 0; i < 200; ++i) spinner.observe(0, /*slept=*/false);
  CHECK(spinner.budget() == 0);
}
