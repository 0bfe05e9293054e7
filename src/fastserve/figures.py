"""What the metrics page asks the server: figures of transport, models, budget and audit log.

Thread: the event loop's.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fastserve._core import core
from fastserve.hosting import Hosting
from fastserve.models.loader import LoadedVersion
from fastserve.models.readiness import Readiness
from fastserve.models.state import State
from fastserve.state_folder import StateFolder

if TYPE_CHECKING:
    from fastserve.metric_source import MetricSource
    from fastserve.rpc.transport import Transport

Value = tuple[str, float]


class Figures:
    """Of one server (fastserve.observe.metrics_core.ServerFigures)."""

    def __init__(
        self,
        engine: core.Engine,
        hosting: Hosting,
        readiness: Readiness,
        state: StateFolder,
        *,
        max_queue_rows: int,
    ) -> None:
        self._engine = engine
        self._hosting = hosting
        self._readiness = readiness
        self._state = state
        self.max_queue_rows = max_queue_rows
        # Set when there is one.
        self.transport: Transport | None = None
        # By name, in the order of the page; parts that have metrics of their own are put in here.
        self.sources: dict[str, MetricSource] = {}

    def versions(self) -> Iterable[LoadedVersion]:
        return self._hosting.catalog.ready_versions

    def states(self) -> Iterable[tuple[str, str, bool, bool]]:
        return [
            (
                record.model,
                str(record.number),
                record.is_ready,
                self._hosting.catalog.takes_traffic(model, record),
            )
            for model in self._hosting.catalog.models
            for record in model.versions.values()
            if record.state not in (State.NEW, State.UNLOADED)
        ]

    def state_changes(self) -> Mapping[tuple[str, str], int]:
        return self._hosting.state_changes.counts

    def audit_head(self) -> tuple[int, str] | None:
        audit = self._state.audit
        return None if audit is None else (audit.head.seq, audit.head.hash)

    def gauges(self) -> Mapping[str, Value]:
        calls = 0 if self.transport is None else self.transport.open_calls
        connections = 0 if self.transport is None else self.transport.open_connections
        budget = self._hosting.budget
        return {
            "fastserve_ready": ("1 when ready for traffic", float(self._readiness.is_ready())),
            "fastserve_open_calls": ("gRPC calls in flight", calls),
            "fastserve_open_connections": ("gRPC connections (native transport)", connections),
            "fastserve_backlog_seconds": (
                "Predicted time to run what is queued",
                self._engine.backlog_ns / 1e9,
            ),
            "fastserve_queue_bytes": (
                "Bytes queued over all models",
                self._engine.total_queued_bytes,
            ),
            "fastserve_models_memory_bytes": (
                "Memory that loaded versions, and loads under way, were measured to need",
                budget.used_bytes,
            ),
            "fastserve_memory_budget_bytes": ("Their bound; 0: none", budget.budget_bytes),
        }

    def counters(self) -> Mapping[str, Value]:
        audit = self._state.audit
        if audit is None:
            return {}
        return {
            "fastserve_audit_records_total": ("Records of the audit log", audit.records),
            "fastserve_audit_write_errors_total": (
                "Attempts to write the audit log that failed",
                audit.write_errors,
            ),
            "fastserve_audit_lost_records_total": (
                "Changes that the audit log lacks; the server's log has them",
                audit.lost_records,
            ),
        }
