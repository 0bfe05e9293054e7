"""The metrics page: the core's counters in Prometheus' words, read when somebody asks.

Nothing is counted here. Labels come from loaded versions and fixed lists, never from a request, so
their number is bounded. Requests, rows and executions are three counters: a request is one call,
rows are what it carried, an execution is one run of the model.

Thread: any, one at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fastserve._core import core
from fastserve.metric_source import MetricSource

# Phase of the core -> (metric, help).
_PHASES: Final = {
    "queue": ("fastserve_queue_seconds", "Waiting for an executor"),
    "gather": ("fastserve_gather_seconds", "Joining the rows of a batch"),
    "compute": ("fastserve_compute_seconds", "ONNX Runtime's run"),
    "reply": ("fastserve_reply_seconds", "From the end of the run to the answer on its connection"),
    "total": (
        "fastserve_request_seconds",
        "From the whole request to the answer on its connection",
    ),
}
_LABELS: Final = ["model", "version"]


class MeasuredVersion(Protocol):
    """A loaded version, as this page needs it."""

    @property
    def model(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def max_rows(self) -> int: ...
    @property
    def file_bytes(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def version(self) -> core.Version: ...


class ServerFigures(Protocol):
    """What is known of the server as a whole."""

    def versions(self) -> Iterable[MeasuredVersion]: ...
    def states(self) -> Iterable[tuple[str, str, bool, bool]]:
        """(model, version, is ready, serves) of every version that is or should be loaded."""

    def state_changes(self) -> Mapping[tuple[str, str], int]:
        """By (model, state): how often a version of the model came into it."""

    def gauges(self) -> Mapping[str, tuple[str, float]]:
        """By name: (help, value now)."""

    def counters(self) -> Mapping[str, tuple[str, float]]:
        """By name: (help, value so far)."""

    @property
    def sources(self) -> Mapping[str, MetricSource]:
        """By name: the parts of the server that have metrics of their own."""

    def audit_head(self) -> tuple[int, str] | None:
        """Number and hash of the audit log's last record; None without a log."""


class MetricsPage:
    """Renders the page in the format that the scraper accepts."""

    def __init__(self, figures: ServerFigures, server_version: str) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_CoreCollector(figures, server_version))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """(body, content type)."""
        encode, content_type = choose_encoder(accept)
        body: bytes = encode(self._registry)
        return body, content_type


class _CoreCollector(Collector):
    def __init__(self, figures: ServerFigures, server_version: str) -> None:
        self._figures = figures
        self._server_version = server_version

    def describe(self) -> Iterable[Metric]:
        # Known only once models are loaded; an empty list keeps the registry from asking.
        return []

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("fastserve_info", "The server's version", labels=["version"])
        info.add_metric([self._server_version], 1)
        yield info
        for name, (text, value) in self._figures.gauges().items():
            yield GaugeMetricFamily(name, text, value=value)
        for name, (text, value) in self._figures.counters().items():
            yield CounterMetricFamily(name, text, value=value)
        yield from _states(self._figures)
        yield from _audit_head(self._figures.audit_head())
        versions = list(self._figures.versions())
        stats = [([v.model, str(v.number)], v.version.stats()) for v in versions]
        yield from _version_gauges(versions, stats)
        yield from _counters(stats)
        yield from _histograms(stats)


def _states(figures: ServerFigures) -> Iterator[Metric]:
    ready = GaugeMetricFamily("fastserve_model_ready", "1 when the version answers", labels=_LABELS)
    serving = GaugeMetricFamily(
        "fastserve_model_serving", "1 when requests without a version get this one", labels=_LABELS
    )
    for model, version, is_ready, is_serving in figures.states():
        ready.add_metric([model, version], float(is_ready))
        serving.add_metric([model, version], float(is_ready and is_serving))
    yield ready
    yield serving
    changes = CounterMetricFamily(
        "fastserve_version_state_changes_total",
        "How often a version of the model came into the state",
        labels=["model", "state"],
    )
    for (model, state), count in figures.state_changes().items():
        changes.add_metric([model, state], count)
    yield changes


def _audit_head(head: tuple[int, str] | None) -> Iterator[Metric]:
    """Kept by whoever scrapes, it proves later that no record was taken from the log's end."""
    if head is None:
        return
    family = GaugeMetricFamily(
        "fastserve_audit_head_records",
        "Number of the audit log's last record, whose hash is the label",
        labels=["hash"],
    )
    family.add_metric([head[1]], head[0])
    yield family


Stats = list[tuple[list[str], core.VersionStats]]


def _version_gauges(versions: list[MeasuredVersion], stats: Stats) -> Iterator[Metric]:
    max_rows = GaugeMetricFamily("fastserve_max_rows", "The most rows of one batch", labels=_LABELS)
    file_bytes = GaugeMetricFamily("fastserve_model_file_bytes", "The model file", labels=_LABELS)
    memory = GaugeMetricFamily(
        "fastserve_model_memory_bytes", "As measured when it was checked", labels=_LABELS
    )
    for version in versions:
        memory.add_metric([version.model, str(version.number)], version.memory_bytes)
        max_rows.add_metric([version.model, str(version.number)], version.max_rows)
        file_bytes.add_metric([version.model, str(version.number)], version.file_bytes)
    yield max_rows
    yield file_bytes
    yield memory
    for name, text, read in _GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=_LABELS)
        for labels, one in stats:
            gauge.add_metric(labels, read(one))
        yield gauge


_GAUGES: Final[tuple[tuple[str, str, Callable[[core.VersionStats], float]], ...]] = (
    ("fastserve_queue_requests", "Requests waiting", lambda one: one.queue_requests),
    ("fastserve_queue_rows", "Rows waiting", lambda one: one.queue_rows),
    ("fastserve_in_flight_requests", "Requests waiting or running", lambda one: one.in_flight),
)
_COUNTERS: Final[tuple[tuple[str, str, Callable[[core.VersionStats], float]], ...]] = (
    ("fastserve_requests_total", "Requests answered by the model", lambda one: one.requests),
    ("fastserve_rows_total", "Rows of those requests", lambda one: one.rows),
    ("fastserve_executions_total", "Runs of the model", lambda one: one.executions),
)


def _counters(stats: Stats) -> Iterator[Metric]:
    for name, text, read in _COUNTERS:
        counter = CounterMetricFamily(name, text, labels=_LABELS)
        for labels, one in stats:
            counter.add_metric(labels, read(one))
        yield counter
    failures = CounterMetricFamily(
        "fastserve_failures_total", "Requests without an answer", labels=[*_LABELS, "reason"]
    )
    releases = CounterMetricFamily(
        "fastserve_batch_releases_total", "Batches by why they began", labels=[*_LABELS, "reason"]
    )
    for labels, one in stats:
        for reason, count in one.failures.items():
            failures.add_metric([*labels, reason], count)
        for reason, count in one.releases.items():
            releases.add_metric([*labels, reason], count)
    yield failures
    yield releases


def _histograms(stats: Stats) -> Iterator[Metric]:
    bounds = [*(format(bound, ".6g") for bound in core.BUCKET_BOUNDS_SECONDS), "+Inf"]
    for phase, (name, text) in _PHASES.items():
        histogram = HistogramMetricFamily(name, text, labels=_LABELS)
        for labels, one in stats:
            counts, sum_ns = one.phases[phase]
            buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
            histogram.add_metric(labels, buckets, sum_ns / 1e9)
        yield histogram
