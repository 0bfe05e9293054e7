#include "fastserve/net/spinner.h"

#include <doctest/doctest.h>

using fastserve::kMicrosecond;
using fastserve::kMillisecond;
using fastserve::net::Spinner;

TEST_CASE("a loop that has seen nothing sleeps at once") { CHECK(Spinner().budget() == 0); }

TEST_CASE("events in quick succession make the loop poll, a budget at most") {
  Spinner spinner;
  for (int i = 0; i < 200; ++i) spinner.observe(70 * kMicrosecond, /*slept=*/true);
  CHECK(spinner.budget() == Spinner::kBudget);
}

TEST_CASE("sparse events end the polling") {
  Spinner spinner;
  for (int i = 0; i < 200; ++i) spinner.observe(10 * kMicrosecond, /*slept=*/false);
  REQUIRE(spinner.budget() > 0);
  int silences = 0;
  while (spinner.budget() > 0) {
    spinner.observe(kMillisecond, /*slept=*/true);
    REQUIRE(++silences < 10);
  }
}

TEST_CASE("one silence among many quick events does not end the polling for long") {
  Spinner spinner;
  for (int i = 0; i < 200; ++i) spinner.observe(5 * kMicrosecond, /*slept=*/false);
  spinner.observe(fastserve::kSecond, /*slept=*/true);
  int events = 0;
  while (spinner.budget() == 0) {
    spinner.observe(5 * kMicrosecond, /*slept=*/false);
    REQUIRE(++events < 20);
  }
}
