"""What became of spans and of lines of the access log, for the metrics page.

Thread: the event loop's.
"""

from collections.abc import Hashable, Iterable
from typing import Final, Protocol

from fastserve._core import core
from fastserve.metric_source import MetricFamily


class Counted(Protocol):
    """A writer's counts of what reached it."""

    @property
    def failed(self) -> int: ...
    @property
    def dropped(self) -> int: ...


class CountedSpans(Counted, Protocol):
    """Of the span writer."""

    @property
    def exported(self) -> int: ...


class CountedLines(Counted, Protocol):
    """Of the access log."""

    @property
    def written(self) -> int: ...


_SPANS: Final = "Spans of sampled calls: sent, refused or not taken by the collector, without room"
_LINES: Final = "Lines of the access log: written, refused by the disk, without room"


class CallMetrics:
    """A MetricSource (fastserve.metric_source) of what is switched on."""

    def __init__(
        self, log: core.CallLog, spans: CountedSpans | None, lines: CountedLines | None
    ) -> None:
        self._log = log
        self._spans = spans
        self._lines = lines

    @property
    def stamp(self) -> Hashable:
        return (self._log.stats(), self._span_counts(), self._line_counts())

    def families(self) -> Iterable[MetricFamily]:
        for name, text, counts in (
            ("fastserve_trace_spans_total", _SPANS, self._span_counts()),
            ("fastserve_access_log_lines_total", _LINES, self._line_counts()),
        ):
            if counts is not None:
                samples = [({"outcome": outcome}, float(count)) for outcome, count in counts]
                yield MetricFamily(name, text, "counter", samples)
        yield MetricFamily(
            "fastserve_trace_context_invalid_total",
            "Calls whose traceparent is none and was ignored",
            "counter",
            [({}, float(self._log.stats().invalid_contexts))],
        )

    def _span_counts(self) -> tuple[tuple[str, int], ...] | None:
        spans = self._spans
        if spans is None:
            return None
        dropped = spans.dropped + self._log.stats().dropped_spans
        return (("exported", spans.exported), ("failed", spans.failed), ("dropped", dropped))

    def _line_counts(self) -> tuple[tuple[str, int], ...] | None:
        lines = self._lines
        if lines is None:
            return None
        dropped = lines.dropped + self._log.stats().dropped_lines
        return (("written", lines.written), ("failed", lines.failed), ("dropped", dropped))
