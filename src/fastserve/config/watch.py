"""Settings of what watches the traffic: drift, labels, capture, webhooks, metrics, traces."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from fastserve.config.group import (
    MIB,
    Bytes,
    Group,
    Share,
    Significance,
    Threshold,
    WindowCount,
    WindowSeconds,
)
from fastserve.errors import InvalidConfig


class CaptureSettings(Group, frozen=True):
    """Where sampled requests and answers are written; each model says which share, and of what."""

    enabled: bool = True
    # None: `capture` in the state folder.
    folder: Path | None = None
    # What waits for the writer; above it requests are dropped and counted.
    max_queue_bytes: Bytes = 64 * MIB
    # Of all files together; above it the oldest are removed.
    max_disk_bytes: Bytes = 10 * 1024 * MIB
    # Nothing is written while the disk has less.
    min_free_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024 * MIB
    # A file is finished when one of the three is reached.
    file_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 128 * MIB
    file_rows: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    file_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    # The key of fields that are hashed.
    hash_key_file: Path | None = None


class WebhookTarget(Group, frozen=True):
    """One address that events are sent to."""

    url: str
    # The key that signs each delivery.
    secret_file: Path | None = None
    # Kinds of events, `drift` with all that begins with `drift.`; empty: all.
    events: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()

    @property
    def origin(self) -> str:
        """Without path and query, which may hold a secret: fit for logs. Errors: InvalidConfig."""
        try:
            parts = urlsplit(self.url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise InvalidConfig("url: is no URL") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidConfig("url: expected http://HOST/PATH or https://HOST/PATH")
        if "@" in parts.netloc:
            raise InvalidConfig("url: holds a user name or password: use secret_file instead")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}{port}"

    def __post_init__(self) -> None:
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise InvalidConfig("url: expected printable ASCII without spaces")
        assert self.origin  # noqa: S101 - raises where it makes no sense

    def __str__(self) -> str:
        events = f" ({', '.join(self.events)})" if self.events else ""
        return self.origin + events


class WebhookSettings(Group, frozen=True):
    """Who is told of alarms, and how stubbornly."""

    targets: Annotated[tuple[WebhookTarget, ...], msgspec.Meta(max_length=16)] = ()
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 5.0
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 8
    # Before the second attempt; each pause is up to twice the one before.
    first_pause_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    max_pause_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 300.0
    # Waiting for one target; above it new ones are dropped and counted.
    max_queue_events: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 256


class FeedbackSettings(Group, frozen=True):
    """Labels that come back later: what is kept of predictions until then, and for how long."""

    enabled: bool = True
    # Of the store of predictions, with its index.
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=16 << 30)] = 64 * MIB
    # Of one request's outputs; of larger ones none is kept.
    max_record_bytes: Annotated[int, msgspec.Meta(ge=64, le=MIB)] = 4096
    max_age_seconds: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] = 604_800.0
    # Labels that came before their prediction, and how long each waits for it.
    max_waiting: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 10_000
    max_wait_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    # Values of a model's segment that are told apart where its model.toml names none.
    max_segments: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16


class DriftSettings(Group, frozen=True):
    """Whether what is served is still like the reference profile; model.toml may differ.

    A feature's alarm is raised when its difference is certain (`significance`) and one of its
    scores reaches the threshold that raises, and cleared when all of them are below those that
    clear; fastserve.drift.judgement says why both are asked for, and how the numbers were chosen.
    """

    enabled: bool = True
    # How often what was seen is taken: the shortest window.
    base_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    # The windows that are judged; a multiple of `base_seconds`.
    window_seconds: WindowSeconds = 300
    # A window with fewer is not judged.
    minimum_rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    # The chance of any false finding among all features of a window, before effect sizes count.
    significance: Significance = 0.001
    psi_raise: Threshold = 0.2
    psi_clear: Threshold = 0.1
    ks_raise: Threshold = 0.07
    ks_clear: Threshold = 0.05
    wasserstein_raise: Threshold = 0.2
    wasserstein_clear: Threshold = 0.15
    cramers_v_raise: Threshold = 0.1
    cramers_v_clear: Threshold = 0.07
    missing_raise: Threshold = 0.05
    missing_clear: Threshold = 0.025
    # So many judged windows in a row raise, and clear.
    raise_windows: WindowCount = 1
    clear_windows: WindowCount = 2
    # Of a version, those with the highest scores; the metrics page shows no more.
    metric_features: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200


class MetricsSettings(Group, frozen=True):
    """What stands on the metrics page."""

    # Triton's names beside ours.
    triton: bool = False


class TracingSettings(Group, frozen=True):
    """Spans of calls, sent to an OpenTelemetry collector over OTLP/gRPC (extra `otel`).

    A call whose caller sampled its trace is traced; `share` is of those that are in no trace.
    """

    enabled: bool = False
    share: Share = 0.01
    # http://HOST:PORT or https://HOST:PORT; None: OTEL_EXPORTER_OTLP_ENDPOINT, else localhost:4317.
    endpoint: str | None = None
    # None: OTEL_SERVICE_NAME, else "fastserve".
    service_name: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    # Of one batch of spans, with all its attempts.
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0


class AccessLogSettings(Group, frozen=True):
    """One JSON line for each sampled call: into a file, or on stderr."""

    enabled: bool = False
    share: Share = 1.0
    file: Path | None = None
    max_file_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = 64 * MIB
    # Full files beside the one that is written: `file.1` is the newest.
    kept_files: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5


def check_drift(drift: DriftSettings) -> None:
    """Errors: InvalidConfig for windows that do not fit together, or thresholds the wrong way."""
    if drift.window_seconds % drift.base_seconds:
        raise InvalidConfig(
            f"drift.window_seconds is {drift.window_seconds}, expected a multiple of "
            f"drift.base_seconds, which is {drift.base_seconds}"
        )
    for name in ("psi", "ks", "wasserstein", "cramers_v", "missing"):
        raising, clearing = getattr(drift, f"{name}_raise"), getattr(drift, f"{name}_clear")
        if clearing > raising:
            raise InvalidConfig(
                f"drift.{name}_clear is {clearing:g}, expected at most drift.{name}_raise, "
                f"which is {raising:g}"
            )


def check_tracing(tracing: TracingSettings) -> None:
    endpoint = tracing.endpoint
    if endpoint is not None and not re.fullmatch(r"https?://[^\s/]+/?", endpoint):
        raise InvalidConfig(
            f"tracing.endpoint {endpoint!r}: expected http://HOST:PORT, or https:// for TLS"
        )
