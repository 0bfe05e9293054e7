"""Spans of calls for an OpenTelemetry collector, over OTLP.

Built from the core's records after the calls have ended, and sent by a thread of its own. A
collector that is slow, hangs or is not there costs spans, which are counted, and nothing else.

Source: OpenTelemetry semantic conventions for RPC and gRPC. Beside the names in force the older
`rpc.system`, `rpc.service` and `rpc.grpc.status_code` are set, which most collectors' views know.
"""

import os
import time
from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from fastserve import __version__
from fastserve._core import core
from fastserve.config import TracingSettings
from fastserve.observe.backlog import Backlog
from fastserve.observe.call_status import NAMES

_MAX_WAITING: Final = 8192
_MAX_GROUP: Final = 512  # OTEL_BSP_MAX_EXPORT_BATCH_SIZE's default
_CLOSE_SECONDS: Final = 2.0
_DEFAULT_SERVICE: Final = "fastserve"
_SCOPE: Final = InstrumentationScope("fastserve", __version__)
# What a server's span calls an error; other statuses say something about the caller.
_ERRORS: Final = frozenset({
    "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
})  # fmt: skip


class SpanWriter:
    """A CallWriter (observe/call_feed.py)."""

    def __init__(self, settings: TracingSettings, *, transport: str) -> None:
        self._transport = transport
        self._resource = _resource(settings.service_name)
        # Without an endpoint the exporter reads OTEL_EXPORTER_OTLP_*, and has localhost:4317.
        self._exporter = OTLPSpanExporter(
            endpoint=settings.endpoint, timeout=settings.timeout_seconds
        )
        self.exported = 0
        self.failed = 0
        self.dropped = 0
        self._backlog = Backlog(
            self._export, name="span export", max_items=_MAX_WAITING, max_group=_MAX_GROUP
        )

    def offer(self, records: Sequence[core.CallRecord]) -> None:
        self.dropped += self._backlog.offer([record for record in records if record.is_traced])

    def close(self) -> None:
        self.dropped += self._backlog.close(_CLOSE_SECONDS)
        self._exporter.shutdown()

    def _export(self, records: Sequence[core.CallRecord]) -> None:
        # One offset for all times of a span: its phases stay in order when the wall clock jumps.
        offset_ns = time.time_ns() - time.monotonic_ns()
        result = self._exporter.export([self.span(record, offset_ns) for record in records])
        if result is SpanExportResult.SUCCESS:
            self.exported += len(records)
        else:
            self.failed += len(records)

    def span(self, record: core.CallRecord, offset_ns: int) -> ReadableSpan:
        """`offset_ns`: from the monotonic clock to the wall's."""
        state = TraceState.from_header([record.trace_state]) if record.trace_state else None
        parent = None
        if record.parent_id:
            parent = _context(record.trace_id, record.parent_id, state, is_remote=True)
        context = _context(record.trace_id, record.span_id, state, is_remote=False)
        status = NAMES[record.code]
        return ReadableSpan(
            name=record.path.removeprefix("/"),
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=dict(self._attributes(record)),
            events=[Event(name, timestamp=at + offset_ns) for name, at in _phases(record)],
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if status in _ERRORS else StatusCode.UNSET),
            start_time=record.begun_ns + offset_ns,
            end_time=record.answered_ns + offset_ns,
            instrumentation_scope=_SCOPE,
        )

    def _attributes(self, record: core.CallRecord) -> Iterator[tuple[str, str | int]]:
        method = record.path.removeprefix("/")
        status = NAMES[record.code]
        yield "rpc.system.name", "grpc"
        yield "rpc.method", method
        yield "rpc.response.status_code", status
        yield "rpc.system", "grpc"
        yield "rpc.service", method.partition("/")[0]
        yield "rpc.grpc.status_code", record.code
        if status in _ERRORS:
            yield "error.type", status
        yield from _peer(record.peer)
        yield "fastserve.transport", self._transport
        for name, value in (
            ("fastserve.model", record.model),
            ("fastserve.version", record.version),
            ("fastserve.request_id", record.id),
            ("fastserve.rows", record.rows),
            ("fastserve.received_bytes", record.received_bytes),
            ("fastserve.sent_bytes", record.sent_bytes),
        ):
            if value:
                yield name, value


def _context(
    trace_id: int, span_id: int, state: TraceState | None, *, is_remote: bool
) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(
        trace_id, span_id, is_remote=is_remote, trace_flags=sampled, trace_state=state
    )


def _phases(record: core.CallRecord) -> Iterator[tuple[str, int]]:
    for name, at in (
        ("fastserve.received", record.received_ns),
        ("fastserve.started", record.started_ns),
        ("fastserve.gathered", record.gathered_ns),
        ("fastserve.computed", record.computed_ns),
    ):
        if at:
            yield name, at


def _peer(peer: str) -> Iterator[tuple[str, str | int]]:
    """Of `ipv4:127.0.0.1:5000`, `ipv6:[::1]:5000`, `unix:PATH`."""
    kind, _, address = peer.partition(":")
    if kind == "unix":
        yield "network.transport", "unix"
    elif kind in ("ipv4", "ipv6"):
        host, _, port = address.rpartition(":")
        yield "network.transport", "tcp"
        yield "network.peer.address", host.removeprefix("[").removesuffix("]")
        if port.isdecimal():
            yield "network.peer.port", int(port)


def _resource(service_name: str | None) -> Resource:
    attributes = {SERVICE_VERSION: __version__}
    names_itself = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    if service_name or not names_itself:
        attributes[SERVICE_NAME] = service_name or _DEFAULT_SERVICE
    return Resource.create(attributes)
