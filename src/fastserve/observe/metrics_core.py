"""The server's own metrics as plain families: what it is, what is loaded, what the core counted.

Nothing is counted here. Requests, rows and executions are three counters: a request is one call,
rows are what it carried, an execution is one run of the model.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from fastserve._core import core
from fastserve.metric_source import MetricFamily, MetricSource, MetricType, Sample
from fastserve.observe.metrics_histogram import HistogramText, MeasuredStats

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


class MeasuredVersion(Protocol):
    """A loaded version, as the page needs it."""

    @property
    def model(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def max_rows(self) -> int: ...
    @property
    def max_queue_rows(self) -> int:
        """0: the server's bound."""

    @property
    def file_bytes(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def load_seconds(self) -> float: ...
    @property
    def version(self) -> core.Version: ...


class ServerFigures(Protocol):
    """What is known of the server as a whole. Thread: the event loop's."""

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
    def max_queue_rows(self) -> int:
        """Of a version that has no bound of its own."""

    @property
    def sources(self) -> Mapping[str, MetricSource]:
        """By name: the parts of the server that have metrics of their own."""

    def audit_head(self) -> tuple[int, str] | None:
        """Number and hash of the audit log's last record; None without a log."""


def server_families(figures: ServerFigures, server_version: str) -> Iterator[MetricFamily]:
    """What is not counted by the core."""
    yield gauge("fastserve_info", "The server's version", [({"version": server_version}, 1)])
    for name, (text, value) in figures.gauges().items():
        yield gauge(name, text, [({}, value)])
    for name, (text, value) in figures.counters().items():
        yield counter(name, text, [({}, value)])
    yield from _states(figures)
    yield from _audit_head(figures.audit_head())
    yield from _loaded(figures)


def core_families(versions: Sequence[MeasuredStats]) -> Iterator[MetricFamily]:
    """What the core counted, but for the histograms."""
    for name, kind, text, read in _SINGLE:
        samples = [(one.labels, read(one.stats)) for one in versions]
        yield MetricFamily(name, text, kind, samples)
    for name, text, read_reasons in _BY_REASON:
        yield counter(
            name,
            text,
            [
                ({**one.labels, "reason": reason}, count)
                for one in versions
                for reason, count in read_reasons(one.stats).items()
            ],
        )


def core_histograms() -> list[HistogramText]:
    return [HistogramText(name, text, phase) for phase, (name, text) in _PHASES.items()]


def gauge(name: str, text: str, samples: Sequence[Sample]) -> MetricFamily:
    return MetricFamily(name, text, "gauge", samples)


def counter(name: str, text: str, samples: Sequence[Sample]) -> MetricFamily:
    return MetricFamily(name, text, "counter", samples)


def _states(figures: ServerFigures) -> Iterator[MetricFamily]:
    ready: list[Sample] = []
    serving: list[Sample] = []
    # From the start, or a rate would not see the first failure.
    changes = {(model, "FAILED"): 0 for model, *_ in figures.states()}
    changes.update(figures.state_changes())
    for model, version, is_ready, is_serving in figures.states():
        labels = {"model": model, "version": version}
        ready.append((labels, float(is_ready)))
        serving.append((labels, float(is_ready and is_serving)))
    yield gauge("fastserve_model_ready", "1 when the version answers", ready)
    yield gauge(
        "fastserve_model_serving", "1 when requests without a version get this one", serving
    )
    yield counter(
        "fastserve_version_state_changes_total",
        "How often a version of the model came into the state",
        [({"model": model, "state": state}, count) for (model, state), count in changes.items()],
    )


def _audit_head(found: tuple[int, str] | None) -> Iterator[MetricFamily]:
    """Kept by whoever scrapes, it proves later that no record was taken from the log's end."""
    if found is not None:
        yield gauge(
            "fastserve_audit_head_records",
            "Number of the audit log's last record, whose hash is the label",
            [({"hash": found[1]}, found[0])],
        )


def _loaded(figures: ServerFigures) -> Iterator[MetricFamily]:
    versions = list(figures.versions())
    labels = [{"model": one.model, "version": str(one.number)} for one in versions]
    default = figures.max_queue_rows
    facts: tuple[tuple[str, str, list[float]], ...] = (
        (
            "fastserve_max_rows",
            "The most rows of one batch",
            [one.max_rows for one in versions],
        ),
        (
            "fastserve_queue_limit_rows",
            "Rows that may wait; more are refused",
            [one.max_queue_rows or default for one in versions],
        ),
        (
            "fastserve_model_file_bytes",
            "The model file",
            [one.file_bytes for one in versions],
        ),
        (
            "fastserve_model_memory_bytes",
            "As measured when it was checked",
            [one.memory_bytes for one in versions],
        ),
        (
            "fastserve_model_load_seconds",
            "From the first look at the version's files to the end of its warm-up",
            [one.load_seconds for one in versions],
        ),
    )
    for name, text, values in facts:
        yield gauge(name, text, list(zip(labels, values, strict=True)))


_SINGLE: Final[tuple[tuple[str, MetricType, str, Callable[[core.VersionStats], float]], ...]] = (
    ("fastserve_queue_requests", "gauge", "Requests waiting", lambda one: one.queue_requests),
    ("fastserve_queue_rows", "gauge", "Rows waiting", lambda one: one.queue_rows),
    (
        "fastserve_in_flight_requests",
        "gauge",
        "Requests waiting or running",
        lambda one: one.in_flight,
    ),
    (
        "fastserve_requests_total",
        "counter",
        "Requests answered by the model",
        lambda one: one.requests,
    ),
    ("fastserve_rows_total", "counter", "Rows of those requests", lambda one: one.rows),
    ("fastserve_executions_total", "counter", "Runs of the model", lambda one: one.executions),
)
_BY_REASON: Final[tuple[tuple[str, str, Callable[[core.VersionStats], Mapping[str, int]]], ...]] = (
    ("fastserve_failures_total", "Requests without an answer", lambda one: one.failures),
    ("fastserve_batch_releases_total", "Batches by why they began", lambda one: one.releases),
)
