"""The same counters under the names, labels and units that Triton's dashboards ask for.

A request is a call, `count` is rows, `exec_count` runs of the model. A duration is the sum over the
requests that were answered; those of a batch share its time, so each of them counts it. Triton has
no histograms yet; they are named here as its pull request 474 of triton-inference-server/core
names them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fastserve.metric_source import MetricFamily
from fastserve.observe.metrics_core import MeasuredVersion, counter, gauge
from fastserve.observe.metrics_histogram import HistogramText, MeasuredStats

# Reason of ours -> Triton's.
_REASONS: Final = {
    "queue_full": "REJECTED",
    "overloaded": "REJECTED",
    "expired": "REJECTED",
    "cancelled": "CANCELED",
    "execution": "BACKEND",
    "invalid": "OTHER",
    "draining": "OTHER",
}
# Phase of ours -> (Triton's, help).
_DURATIONS: Final = {
    "total": ("request", "Time of requests from arrival to answer"),
    "queue": ("queue", "Time that requests waited"),
    "gather": ("compute_input", "Time for joining inputs"),
    "compute": ("compute_infer", "Time of the model's run"),
    "reply": ("compute_output", "Time for giving answers"),
}
_COUNTERS: Final[tuple[tuple[str, str, Callable[[MeasuredStats], int]], ...]] = (
    (
        "nv_inference_request_success",
        "Requests that were answered",
        lambda one: one.stats.requests,
    ),
    ("nv_inference_count", "Rows of those requests", lambda one: one.stats.rows),
    ("nv_inference_exec_count", "Runs of the model", lambda one: one.stats.executions),
)
_MICROSECONDS: Final = 1e6


def triton_families(
    versions: Sequence[MeasuredStats], loaded: Sequence[MeasuredVersion]
) -> Iterator[MetricFamily]:
    for name, text, read in _COUNTERS:
        yield counter(name, text, [(one.labels, read(one)) for one in versions])
    yield counter(
        "nv_inference_request_failure",
        "Requests that were not answered, by reason",
        [
            ({**one.labels, "reason": reason}, count)
            for one in versions
            for reason, count in _failures(one).items()
        ],
    )
    yield gauge(
        "nv_inference_pending_request_count",
        "Requests that wait for the model's run",
        [(one.labels, one.stats.queue_requests) for one in versions],
    )
    for phase, (name, text) in _DURATIONS.items():
        yield counter(
            f"nv_inference_{name}_duration_us",
            f"{text}, in microseconds",
            [(one.labels, one.stats.phases[phase][1] // 1000) for one in versions],
        )
    yield gauge(
        "nv_model_load_duration_secs",
        "Time that the load took, in seconds",
        [({"model": one.model, "version": str(one.number)}, one.load_seconds) for one in loaded],
    )


def triton_histograms() -> list[HistogramText]:
    return [
        HistogramText(
            f"nv_inference_{name}_duration_histogram_us",
            f"{text}, in microseconds",
            phase,
            _MICROSECONDS,
        )
        for phase, (name, text) in _DURATIONS.items()
    ]


def _failures(one: MeasuredStats) -> dict[str, int]:
    sums = dict.fromkeys(("REJECTED", "CANCELED", "BACKEND", "OTHER"), 0)
    for reason, count in one.stats.failures.items():
        sums[_REASONS[reason]] += count
    return sums
