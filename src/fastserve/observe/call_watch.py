"""Tracing and the access log of one server, as its settings want them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fastserve._core import core
from fastserve.config import AccessLogSettings, TracingSettings
from fastserve.errors import InvalidConfig
from fastserve.observe.access_log import AccessLog
from fastserve.observe.actor_names import ActorNames
from fastserve.observe.call_feed import CallFeed, CallWriter
from fastserve.observe.call_metrics import CallMetrics

if TYPE_CHECKING:
    from fastserve.observe.tracing import SpanWriter

_MISSING: Final = (
    "tracing.enabled needs OpenTelemetry, which is not installed: pip install 'fastserve[otel]'"
)


class CallWatch:
    """`log` goes to the transport, `feed` gets the calls of the control plane; None: nothing on.

    Errors: InvalidConfig when OpenTelemetry is missing or the access log cannot be opened.
    """

    def __init__(
        self,
        tracing: TracingSettings,
        access_log: AccessLogSettings,
        *,
        transport: str,
        actors: Sequence[str],
    ) -> None:
        self.actors = ActorNames(actors)
        self.log = core.CallLog(
            trace_share=tracing.share if tracing.enabled else None,
            access_share=access_log.share if access_log.enabled else None,
        )
        spans = _span_writer(tracing, transport) if tracing.enabled else None
        lines = None
        if access_log.enabled:
            lines = AccessLog(access_log, transport=transport, actors=self.actors)
        self.metrics = CallMetrics(self.log, spans, lines)
        writers: list[CallWriter] = [writer for writer in (spans, lines) if writer is not None]
        self.feed = CallFeed(self.log, writers) if writers else None

    def start(self) -> None:
        if self.feed is not None:
            self.feed.start()

    def close(self) -> None:
        """After the transport. Waits for writers, a bounded time."""
        if self.feed is not None:
            self.feed.close()


def _span_writer(settings: TracingSettings, transport: str) -> "SpanWriter":
    try:
        # Slow to import, and an extra.
        from fastserve.observe.tracing import SpanWriter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise InvalidConfig(_MISSING) from error
    return SpanWriter(settings, transport=transport)
