"""What a shadow found, in plain words and as figures."""

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.routing.shadow import RunningShadow

# Differences by powers of ten; what is smaller or larger is in the first or the last.
EDGES: Final = (0.0, *(10.0**power for power in range(-9, 4)), 1.7e308)
RANKS: Final = (0.5, 0.9, 0.99)


class Differences(msgspec.Struct, frozen=True):
    """Of one output: quantiles of the absolute difference at RANKS, shares between EDGES."""

    quantiles: tuple[float, ...]
    absolute: tuple[float, ...]
    relative: tuple[float, ...]


def differences(report: core.ShadowReport, output: int) -> Differences | None:
    """None before the first row was compared."""
    sketch = report.differences
    if sketch is None or not report.outputs[output].rows:
        return None
    absolute = output * 2
    return Differences(
        tuple(sketch.quantiles(absolute, RANKS)),
        tuple(sketch.histogram(absolute, EDGES)),
        tuple(sketch.histogram(absolute + 1, EDGES)),
    )


def lines(shadow: RunningShadow, report: core.ShadowReport) -> Iterator[str]:
    """The report for people, the most important first."""
    spec = shadow.spec
    if report.compared:
        yield (
            f"{report.differing} of {report.compared} compared rows differ "
            f"({report.differing / report.compared:.2%}): version {spec.candidate} against "
            f"{shadow.live.number}"
        )
    else:
        yield "no row was compared yet, so nothing is known of the candidate"
    for output in report.outputs:
        yield from _output_lines(output)
    if report.dropped:
        yield (
            f"{report.dropped} of {report.offered} chosen rows were dropped: the server had no "
            "time or no room to spare for them"
        )
    if report.failed:
        yield f"the candidate failed on {report.failed} rows, first with: {report.first_error}"
    if shadow.ended:
        yield f"ended: {shadow.ended}"


def _output_lines(output: core.ShadowOutput) -> Iterator[str]:
    if not output.rows:
        return
    yield (
        f"{output.name}: {output.differing_rows} of {output.rows} rows differ, by at most "
        f"{output.max_absolute:.3g} ({output.max_relative:.3g} relative)"
    )
    if output.argmax_rows:
        yield f"{output.name}: the highest score changed in {output.argmax_flips} rows"
    if output.correlated_rows and not math.isnan(output.mean_correlation):
        yield (
            f"{output.name}: rank correlation of the scores {output.mean_correlation:.4f} on "
            f"average, {output.min_correlation:.4f} at worst"
        )
    if output.nan_rows:
        yield f"{output.name}: NaN in one of the two alone in {output.nan_rows} rows"
    if output.wrong_shape_rows:
        yield f"{output.name}: another number of elements in {output.wrong_shape_rows} rows"
