"""One histogram of all versions as text: a template for each version, filled in when it moved.

A page of 100 models has 11,500 lines of histograms, and most models stand still between two
scrapes: what did not change since the last time is not written again.

Thread: one.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from fastserve._core import core
from fastserve.observe.metrics_text import Format, escaped, head, label_pairs, number, numbers

_PHASE_WITH_EXEMPLARS: Final = "total"


class MeasuredStats(NamedTuple):
    """What one version counted, read at one moment."""

    model: str
    version: str
    stats: core.VersionStats
    exemplars: Sequence[core.Exemplar] = ()

    @property
    def labels(self) -> dict[str, str]:
        return {"model": self.model, "version": self.version}


class _Stamped(NamedTuple):
    request_id: str
    total_ns: int
    text: str


class _Written(NamedTuple):
    counts: list[int]
    sum_ns: int
    exemplars: dict[int, _Stamped]
    text: str


class HistogramText:
    """The lines of one phase. `units_per_second`: 1 for seconds, a million for microseconds."""

    def __init__(self, name: str, text: str, phase: str, units_per_second: float = 1) -> None:
        self.name = name
        self._text = text
        self._phase = phase
        self._ns_per_unit = 1e9 / units_per_second
        bounds = (bound * units_per_second for bound in core.BUCKET_BOUNDS_SECONDS)
        # Through six digits: 1.6e-3 seconds are 1600 microseconds, not 1600.0000000000002.
        self._bounds = [*(number(float(format(bound, ".6g"))) for bound in bounds), "+Inf"]
        self._templates: dict[tuple[str, str], str] = {}
        self._written: dict[tuple[Format, str, str], _Written] = {}

    def lines(self, versions: Iterable[MeasuredStats], form: Format) -> Iterator[str]:
        """Head and samples of all `versions`; what is known of others is forgotten."""
        yield head(self.name, self._text, "histogram", form)
        kept = {}
        for measured in versions:
            key = (form, measured.model, measured.version)
            kept[key] = self._write(measured, form, self._written.get(key))
            yield kept[key].text
        others = {key: value for key, value in self._written.items() if key[0] is not form}
        self._written = others | kept
        alive = {key[1:] for key in self._written}
        for gone in self._templates.keys() - alive:
            del self._templates[gone]

    def _write(self, measured: MeasuredStats, form: Format, last: _Written | None) -> _Written:
        counts, sum_ns = measured.stats.phases[self._phase]
        exemplars = self._stamp(measured, form, {} if last is None else last.exemplars)
        if last and last[:3] == (counts, sum_ns, exemplars):
            return last
        values = numbers(accumulate(counts))
        total = values[-1]
        for bucket, exemplar in exemplars.items():
            values[bucket] += exemplar.text
        text = self._template(measured) % (*values, total, number(sum_ns / self._ns_per_unit))
        return _Written(counts, sum_ns, exemplars, text)

    def _template(self, measured: MeasuredStats) -> str:
        key = (measured.model, measured.version)
        template = self._templates.get(key)
        if template is None:
            pairs = label_pairs(measured.labels).replace("%", "%%")
            name = self.name
            lines = [f'{name}_bucket{{le="{bound}",{pairs}}} %s\n' for bound in self._bounds]
            lines += [f"{name}_count{{{pairs}}} %s\n", f"{name}_sum{{{pairs}}} %s\n"]
            template = self._templates[key] = "".join(lines)
        return template

    def _stamp(
        self, measured: MeasuredStats, form: Format, last: dict[int, _Stamped]
    ) -> dict[int, _Stamped]:
        """By bucket. One that was there at the last scrape keeps its time, or it would be new."""
        if form is not Format.OPENMETRICS or self._phase != _PHASE_WITH_EXEMPLARS:
            return {}
        stamped = {}
        for one in measured.exemplars:
            before = last.get(one.bucket)
            if before is not None and before[:2] == (one.request_id, one.total_ns):
                stamped[one.bucket] = before
                continue
            at = round(time.time() - one.age_ns / 1e9, 3)
            value = number(one.total_ns / self._ns_per_unit)
            text = f' # {{request_id="{escaped(one.request_id)}"}} {value} {at}'
            stamped[one.bucket] = _Stamped(one.request_id, one.total_ns, text)
        return stamped
