"""The metrics page: what the server counts, in Prometheus' words, made when somebody asks.

A scrape has two steps. On the event loop's thread the figures are gathered as plain data, quickly;
in a thread of the page's own the core's counters are read and everything is written and compressed.
What a source (fastserve.metric_source) gave is asked for again only when its stamp changed, and a
family of it is written again only when it changed. Scrapes that come while one is written share the
next, so a storm of them costs what one costs.

Labels come from loaded versions, from sources and from fixed lists, never from a request, so their
number is bounded. A source that fails is left out, counted and logged; the rest is served.
"""

import asyncio
import gzip
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from fastserve.metric_source import MOST_SAMPLES, MetricFamily
from fastserve.observe.logs import get_logger
from fastserve.observe.metrics_core import (
    MeasuredVersion,
    ServerFigures,
    core_families,
    core_histograms,
    counter,
    gauge,
    server_families,
)
from fastserve.observe.metrics_histogram import MeasuredStats
from fastserve.observe.metrics_text import Format, LabelledFamily, accepts_gzip, negotiate, write
from fastserve.observe.metrics_triton import triton_families, triton_histograms
from fastserve.thread_priority import lower_priority

_END: Final = "# EOF\n"  # of OpenMetrics
# 2.5 MB of text to 170 KB in 12 ms; level 6 takes three times as long for a third less.
_GZIP_LEVEL: Final = 1

_log = get_logger("metrics")


class Page(NamedTuple):
    """One answer to a scraper."""

    body: bytes
    content_type: str
    is_gzip: bool

    @property
    def headers(self) -> dict[str, str]:
        encoding = {"content-encoding": "gzip"} if self.is_gzip else {}
        vary = "accept, accept-encoding"
        return {"content-type": self.content_type, "vary": vary, **encoding}


class _Gathered(NamedTuple):
    """A moment of the server. Not changed any more, but for what sources are written as."""

    families: list[MetricFamily]
    versions: list[MeasuredVersion]
    sources: list["_SourceText"]


class _SourceText:
    """What a source gave under one stamp, and its lines once they were asked for.

    `before`: what it gave last; families that are still the same keep their lines.
    """

    def __init__(
        self,
        name: str,
        stamp: object,
        families: Iterable[MetricFamily],
        before: "_SourceText | None",
    ) -> None:
        self.name = name
        self.stamp = stamp
        self.left_out = 0
        self.error = ""
        self._families = self._bound(families)
        self.names = frozenset(_plain_name(family.name) for family in self._families)
        if len(self.names) < len(self._families):
            raise ValueError("a family comes twice")
        # By name; of the last time until they are written.
        self.labelled: dict[str, LabelledFamily] = {} if before is None else before.labelled
        self._is_labelled = False

    def text(self, form: Format) -> str:
        """Errors: whatever the source's data makes of it."""
        if self.error:
            return ""
        if not self._is_labelled:
            before = self.labelled
            self.labelled = {
                family.name: _labelled(family, before.get(family.name)) for family in self._families
            }
            self._is_labelled = True
        return "".join([family.text(form) for family in self.labelled.values()])

    def _bound(self, families: Iterable[MetricFamily]) -> list[MetricFamily]:
        room = MOST_SAMPLES
        bounded = []
        for family in families:
            kept = family.samples[:room]
            self.left_out += len(family.samples) - len(kept)
            room -= len(kept)
            bounded.append(family._replace(samples=kept))
        return bounded


def _plain_name(name: str) -> str:
    """As OpenMetrics has it: a counter x_total and a gauge x cannot both be there."""
    return name.removesuffix("_total")


def _labelled(family: MetricFamily, before: LabelledFamily | None) -> LabelledFamily:
    if before is not None and before.family == family:
        return before
    labelled = LabelledFamily(family, before)
    labelled.check()
    return labelled


class MetricsPage:
    """Thread: the event loop's, but for `write`."""

    def __init__(
        self, figures: ServerFigures, server_version: str, *, is_triton: bool = False
    ) -> None:
        self._figures = figures
        self._server_version = server_version
        self._is_triton = is_triton
        self._histograms = [*core_histograms(), *(triton_histograms() if is_triton else ())]
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        self._sources: dict[str, _SourceText] = {}
        self._source_errors: dict[str, int] = {}
        self._last_errors: dict[str, str] = {}
        # A page is some 20 ms of work for 100 models: no answer should wait behind it for a core.
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="metrics", initializer=lower_priority
        )
        self._writing = asyncio.Lock()
        self._waiting: dict[tuple[Format, bool], asyncio.Task[Page]] = {}

    async def answer(self, accept: str, accept_encoding: str) -> Page:
        """The page in the format that the headers ask for."""
        key = (negotiate(accept), accepts_gzip(accept_encoding))
        task = self._waiting.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._make(*key), name="metrics page")
            self._waiting[key] = task
        # Others may wait for it as well.
        return await asyncio.shield(task)

    def close(self) -> None:
        """Waits for a page that is being written."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _make(self, form: Format, is_gzip: bool) -> Page:
        async with self._writing:
            # Who comes from here on gets a later page.
            del self._waiting[form, is_gzip]
            gathered = self.gather()
            body = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._encode, gathered, form, is_gzip
            )
            for source in gathered.sources:
                self._note(source.name, source.error)
            return Page(body, form.value, is_gzip)

    def _encode(self, gathered: _Gathered, form: Format, is_gzip: bool) -> bytes:
        body = self.write(gathered, form)
        return gzip.compress(body, _GZIP_LEVEL, mtime=0) if is_gzip else body

    def gather(self) -> _Gathered:
        """Everything that is the event loop's."""
        families = list(server_families(self._figures, self._server_version))
        sources = {}
        for name, source in self._figures.sources.items():
            # From the start, or a rate would not see the first.
            self._source_errors.setdefault(name, 0)
            try:
                stamp = source.stamp
                text = self._sources.get(name)
                if text is None or text.stamp != stamp:
                    text = _SourceText(name, stamp, source.families(), text)
                sources[name] = text
            except Exception as error:  # noqa: BLE001 - one part must not cost all the others
                self._note(name, f"{type(error).__name__}: {error}")
        self._sources = sources
        return _Gathered(families, list(self._figures.versions()), list(sources.values()))

    def write(self, gathered: _Gathered, form: Format) -> bytes:
        """The whole page. Thread: any, one at a time."""
        versions = [
            MeasuredStats(
                each.model,
                str(each.number),
                each.version.stats(),
                each.version.exemplars() if form is Format.OPENMETRICS else (),
            )
            for each in gathered.versions
        ]
        families = [
            *gathered.families,
            *core_families(versions),
            *(triton_families(versions, gathered.versions) if self._is_triton else ()),
            *self._page_families(gathered.sources),
        ]
        parts = [self._process_lines(form), write(families, form)]
        for histogram in self._histograms:
            parts.extend(histogram.lines(versions, form))
        taken = {_plain_name(family.name) for family in families}
        taken.update(histogram.name for histogram in self._histograms)
        parts.extend(_source_lines(gathered.sources, form, taken))
        if form is Format.OPENMETRICS:
            parts.append(_END)
        # A help text may hold anything; label values are cleaned before.
        return "".join(parts).encode(errors="replace")

    def _process_lines(self, form: Format) -> str:
        generate = generate_text if form is Format.TEXT else generate_openmetrics
        return generate(self._process).decode().removesuffix(_END)

    def _page_families(self, sources: Sequence[_SourceText]) -> Iterator[MetricFamily]:
        yield counter(
            "fastserve_metrics_source_errors_total",
            "How often a part of the page was left out because its source failed",
            [({"source": name}, count) for name, count in self._source_errors.items()],
        )
        yield gauge(
            "fastserve_metrics_left_out_samples",
            "Samples of the source above its bound",
            [({"source": source.name}, source.left_out) for source in sources],
        )

    def _note(self, name: str, error: str) -> None:
        """Counts a failure; logs it when it is another than last time."""
        if error:
            self._source_errors[name] += 1
            if self._last_errors.get(name) != error:
                _log.error("metrics left out", source=name, reason=error)
        self._last_errors[name] = error


def _source_lines(sources: Sequence[_SourceText], form: Format, taken: set[str]) -> Iterator[str]:
    """Of each source that keeps the rules and repeats no name in `taken`."""
    for source in sources:
        try:
            if twice := taken & source.names:
                raise ValueError(f"{min(twice)} is on the page already")  # noqa: TRY301
            yield source.text(form)
            taken |= source.names
        except Exception as error:  # noqa: BLE001 - as in MetricsPage.gather
            source.error = f"{type(error).__name__}: {error}"
