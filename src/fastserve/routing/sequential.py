"""Tests that stay valid however often they are looked at.

A rollout is judged every second. A p-value that is looked at every second crosses any level sooner
or later though nothing differs; what is here does not: its error bound holds for all moments at
once, so whoever stops at the moment that suits him is wrong no more often than stated.

RatioTest: is an event (an error, a slow answer) more frequent in the candidate?
    Given that an event happened in either arm in a second in which the candidate had the part w of
    the requests, it is the candidate's with probability w if both arms are alike, and with
    r w / (1 - w + r w) if the candidate's rate is r times the other's. The likelihood ratio of the
    two, multiplied over the seconds and averaged over several r, is a martingale with mean 1 if
    the arms are alike. By Ville's inequality (1939) it ever reaches 1/alpha with probability alpha
    at most. Because it compares the arms within each second, it does not matter how the rate of
    both changes over the day, nor that weights change. Given the number of events in both, those
    of the candidate are hypergeometric; the binomial is the more spread of the two, so the bound
    holds (Hoeffding 1963, theorem 4).
    Source: Ramdas, Gruenwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid
    inference" (2023); the mixture over alternatives is Robbins's (1970).

RateInterval: by how much do the rates of two arms differ?
    Answers within one second are alike (they shared a batch, a pause, a burst), so seconds are the
    units, not requests: the variance of the difference is estimated from whole seconds, both arms
    together (linearisation of a ratio, Cochran, "Sampling Techniques", 1977). Around it lies an
    asymptotic confidence sequence, the sequential form of the interval of the central limit
    theorem: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
    asymptotic confidence sequences" (2024). It needs some twenty seconds before it means anything,
    and says nothing until then.

distribution_margin: how far can a distribution seen n times be from the true one?
    A bound on the Kolmogorov-Smirnov distance for all n at once: Howard, Ramdas, "Sequential
    estimation of quantiles with applications to A/B testing and best-arm identification" (2022),
    corollary 2.

Rejected: fixed-horizon tests (not valid under looks), alpha spending at planned looks (rollouts
are looked at whenever somebody asks), Bayesian posteriors with a threshold (their error under
looks is nobody's promise).
"""

import math
from typing import Final

import msgspec

# Rates of the candidate against the baseline's that the ratio test looks for, equally likely.
_RATIOS: Final = (1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
# Fewer seconds than this say nothing about their own variance.
MIN_SECONDS: Final = 20
# The interval is narrowest after about so many seconds.
_TUNED_FOR_SECONDS: Final = 60
_MAX_LOG: Final = 700.0


class ArmCount(msgspec.Struct, frozen=True):
    """What one arm did in one second: requests, and how many of them were events."""

    requests: int
    events: int


class RatioTest:
    """Evidence that events are more frequent in the candidate than in the baseline."""

    def __init__(self) -> None:
        self._logs = [0.0] * len(_RATIOS)

    def add(self, candidate: ArmCount, baseline: ArmCount) -> None:
        """One second of both. One in which either arm had no request tells nothing."""
        if not candidate.requests or not baseline.requests:
            return
        part = candidate.requests / (candidate.requests + baseline.requests)
        for index, ratio in enumerate(_RATIOS):
            whole = 1 - part + ratio * part
            # The candidate's part under the ratio is ratio * part / whole, the other's the rest.
            self._logs[index] += candidate.events * math.log(ratio / whole)
            self._logs[index] -= baseline.events * math.log(whole)

    @property
    def evidence(self) -> float:
        """The e-value: 1 says nothing, 1/alpha refutes at level alpha that the arms are alike."""
        most = max(self._logs)
        if most > _MAX_LOG:
            return math.inf
        return math.fsum(math.exp(each) for each in self._logs) / len(_RATIOS)


class Interval(msgspec.Struct, frozen=True):
    """The candidate's rate less the baseline's; the bounds hold at every moment at once."""

    difference: float
    lower: float
    upper: float


class RateInterval:
    """How much more, or less, frequent events are in the candidate."""

    def __init__(self) -> None:
        self._candidate = [0, 0]
        self._baseline = [0, 0]
        # Sums of products over the seconds, of (requests, events) of both arms: all that the
        # variance needs, so that nothing grows.
        self._products = [[0.0] * 4 for _ in range(4)]
        self._count = 0

    def add(self, candidate: ArmCount, baseline: ArmCount) -> None:
        """One second of both; one without any request is left out."""
        values = (candidate.requests, candidate.events, baseline.requests, baseline.events)
        if not values[0] and not values[2]:
            return
        self._count += 1
        for row, left in enumerate(values):
            for column, right in enumerate(values):
                self._products[row][column] += left * right
        self._candidate[0] += candidate.requests
        self._candidate[1] += candidate.events
        self._baseline[0] += baseline.requests
        self._baseline[1] += baseline.events

    @property
    def requests(self) -> tuple[int, int]:
        """Of the candidate and of the baseline, so far."""
        return self._candidate[0], self._baseline[0]

    @property
    def rates(self) -> tuple[float, float]:
        """Of the candidate and of the baseline; NaN without requests."""
        return _rate(self._candidate), _rate(self._baseline)

    def interval(self, alpha: float) -> Interval | None:
        """None while there is too little to say anything."""
        requests = self.requests
        if self._count < MIN_SECONDS or not all(requests):
            return None
        rates = self.rates
        # Of one second: ((e_c - p_c n_c) / N_c - (e_b - p_b n_b) / N_b), squared and summed.
        weights = (
            -rates[0] / requests[0],
            1 / requests[0],
            rates[1] / requests[1],
            -1 / requests[1],
        )
        between = math.fsum(
            weights[row] * weights[column] * self._products[row][column]
            for row in range(4)
            for column in range(4)
        )
        # No events in few requests are no proof of none: never less than one event's variance.
        within = sum(_floor(arm) for arm in (self._candidate, self._baseline))
        half = math.sqrt(max(between, within)) * _boundary(self._count, alpha)
        difference = rates[0] - rates[1]
        return Interval(difference, difference - half, difference + half)


def distribution_margin(count: int, alpha: float) -> float:
    """With probability 1 - alpha, for all counts at once: the KS distance to the truth."""
    if count < 1:
        return 1.0
    inner = math.log(1 + math.log(count)) + 0.8 * math.log(1612 / alpha)
    return min(1.0, 0.85 * math.sqrt(inner / count))


def _rate(arm: list[int]) -> float:
    return arm[1] / arm[0] if arm[0] else math.nan


def _floor(arm: list[int]) -> float:
    """The variance of the rate of an arm with one event more and one event fewer than it had."""
    rate = (arm[1] + 1) / (arm[0] + 2)
    return rate * (1 - rate) / arm[0]


def _boundary(count: int, alpha: float) -> float:
    """Standard errors from the middle to the bound after `count` seconds."""
    log = -2 * math.log(alpha)
    squared = (log + math.log(log + 1)) / _TUNED_FOR_SECONDS
    scaled = count * squared
    return math.sqrt(2 * (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / alpha))
