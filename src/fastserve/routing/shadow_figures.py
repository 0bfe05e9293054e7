"""What the metrics page shows of shadows (fastserve.metric_source). Thread: the event loop's."""

from collections.abc import Hashable, Iterator

from fastserve.metric_source import MetricFamily
from fastserve.routing.shadow import RunningShadow, Shadows

_OUTCOMES = ("compared", "dropped", "failed")


class ShadowFigures:
    """A MetricSource over the shadows of a server."""

    def __init__(self, shadows: Shadows) -> None:
        self._shadows = shadows

    @property
    def stamp(self) -> Hashable:
        found = [(each, each.report()) for each in self._shadows]
        return tuple(
            (id(each), now.compared, now.dropped, now.failed, now.differing) for each, now in found
        )

    def families(self) -> Iterator[MetricFamily]:
        found = [(_labels(each), each.report()) for each in self._shadows]
        yield MetricFamily(
            "fastserve_shadow_rows_total",
            "Rows chosen for the candidate, by what became of them",
            "counter",
            [
                (labels | {"outcome": outcome}, getattr(now, outcome))
                for labels, now in found
                for outcome in _OUTCOMES
            ],
        )
        yield MetricFamily(
            "fastserve_shadow_mismatch_ratio",
            "Share of the compared rows that differ",
            "gauge",
            [(labels, now.differing / now.compared) for labels, now in found if now.compared],
        )
        yield MetricFamily(
            "fastserve_shadow_max_abs_difference",
            "The largest absolute difference of any element",
            "gauge",
            [
                (labels, max(output.max_absolute for output in now.outputs))
                for labels, now in found
                if now.compared
            ],
        )


def _labels(shadow: RunningShadow) -> dict[str, str]:
    return {"model": shadow.spec.model, "candidate": str(shadow.spec.candidate)}
