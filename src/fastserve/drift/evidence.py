"""How sure a difference is: p-values from what sketches keep, and their correction for many.

A sketch keeps ranks up to an error of its own. That error is taken off before the question is
asked, so that it can hide a small difference, never invent one.

Sources: Stephens, "Use of the Kolmogorov-Smirnov, Cramer-von Mises and Related Statistics Without
Extensive Tables" (JRSS B 32, 1970) for the finite-sample form; Abramowitz and Stegun, "Handbook of
Mathematical Functions" (1964), 26.4.4 and 26.4.5; Holm, "A Simple Sequentially Rejective Multiple
Test Procedure" (Scand. J. Statist. 6, 1979).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

# Of a rank that a KLL sketch of k = 200 tells, at 99 %: Karnin, Lang, Liberty, "Optimal Quantile
# Approximation in Streams" (FOCS 2016), as DataSketches states it. Below k rows it keeps all.
RANK_ERROR: Final = 0.0133
EXACT_ROWS: Final = 200

_TERMS: Final = 100
_SMALLEST_TERM: Final = 1e-12


def kolmogorov_p(distance: float, reference_rows: int, live_rows: int) -> float:
    """The chance of so large a distance between samples of one distribution, two-sided."""
    if not reference_rows or not live_rows:
        return 1.0
    distance -= sum(RANK_ERROR for rows in (reference_rows, live_rows) if rows >= EXACT_ROWS)
    if distance <= 0:
        return 1.0
    root = math.sqrt(reference_rows * live_rows / (reference_rows + live_rows))
    scaled = (root + 0.12 + 0.11 / root) * distance
    total = 0.0
    for index in range(1, _TERMS):
        term = math.exp(-2 * (index * scaled) ** 2)
        total += term if index % 2 else -term
        if term < _SMALLEST_TERM:
            return min(1.0, max(0.0, 2 * total))
    return 1.0  # the series converges slowly where the distance is next to nothing


def chi_square_p(statistic: float, freedom: int) -> float:
    """The chance that a chi-square variable exceeds `statistic`: the finite sum for integers."""
    half = statistic / 2
    if freedom < 1 or half <= 0:
        return 1.0
    start = 0.5 if freedom % 2 else 0.0
    total = math.erfc(math.sqrt(half)) if freedom % 2 else 0.0
    for step in range(freedom // 2):
        power = start + step
        total += math.exp(power * math.log(half) - half - math.lgamma(power + 1))
    return min(1.0, total)


class CountTable(NamedTuple):
    """Counts by value, as a sketch has them: each is up to `error` more, in truth, as is any other.

    `error` is 0 while there are no more values than the sketch has counters.
    """

    counts: Mapping[str, int]
    error: int
    rows: int


def categories_p(reference: CountTable, live: CountTable) -> float:
    """The chance that two tables of counts are of one distribution: chi-square, two samples.

    What the sketches cannot tell counts as no difference: a column of identifiers, where each
    window has other values in its counters, is not different each time.
    """
    if not reference.rows or not live.rows:
        return 1.0
    values = reference.counts.keys() | live.counts.keys()
    pairs = [(reference.counts.get(value, 0), live.counts.get(value, 0)) for value in values]
    total = sum(_part(reference, live, *pair) for pair in pairs)
    if not reference.error and not live.error:
        rest = (
            reference.rows - sum(count for count, _ in pairs),
            live.rows - sum(count for _, count in pairs),
        )
        total += _part(reference, live, *rest)
    size = reference.rows * live.rows / (reference.rows + live.rows)
    return chi_square_p(size * total, max(1, len(values) - 1))


def _part(reference: CountTable, live: CountTable, first: int, second: int) -> float:
    """One value's part of the statistic, from the counts of both sides."""
    pooled = (first + second) / (reference.rows + live.rows)
    if pooled <= 0:
        return 0.0
    gap = max(
        first / reference.rows - (second + live.error) / live.rows,
        second / live.rows - (first + reference.error) / reference.rows,
        0.0,
    )
    return gap * gap / pooled


def shares_p(reference: tuple[int, int], live: tuple[int, int]) -> float:
    """Of (count, rows): the chance that two such shares are of one; pooled, two-sided."""
    (first, rows), (second, live_rows) = reference, live
    if not rows or not live_rows:
        return 1.0
    pooled = (first + second) / (rows + live_rows)
    variance = pooled * (1 - pooled) * (1 / rows + 1 / live_rows)
    if variance <= 0:
        return 1.0
    return math.erfc(abs(first / rows - second / live_rows) / math.sqrt(2 * variance))


def holm(chances: Sequence[float]) -> list[float]:
    """Each adjusted so that all findings below a level are true but with that chance at most."""
    adjusted = [1.0] * len(chances)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(1.0, chances[index] * (len(chances) - rank)))
        adjusted[index] = largest
    return adjusted
