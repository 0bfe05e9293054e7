"""Follows each call that the control plane serves: its ids in every log line, and its record.

The core records ModelInfer and ModelStreamInfer by itself, on both transports; what comes here is
recorded with the same rules (core.CallLog.sample) and goes to the same writers.

Thread: the event loop's.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from structlog.contextvars import bound_contextvars

from fastserve._core import core
from fastserve.observe.actor_names import ActorNames
from fastserve.rpc.context import NO_DEADLINE, CallContext

_CANCELLED = 1
_DEADLINE_EXCEEDED = 4
_MAX_STATE_CHARACTERS = 256

Keep = Callable[[core.CallRecord], None]


class FollowedCall:
    """Set `code` before the call is over."""

    def __init__(self) -> None:
        self.code = _CANCELLED


class Calls:
    """Of one server. Without `keep` nothing is recorded; log lines have their ids all the same."""

    def __init__(
        self,
        log: core.CallLog | None = None,
        keep: Keep | None = None,
        actors: ActorNames | None = None,
    ) -> None:
        self.actors = actors
        self.log = core.CallLog() if log is None else log
        self._keep = keep

    def origin(self, context: CallContext, *, is_stream: bool) -> core.CallOrigin | None:
        """For the core's record of an inference that a transport in Python carries."""
        if self._keep is None:
            return None
        return core.CallOrigin(
            is_stream=is_stream,
            peer=context.peer,
            # One that is none was counted by `follow`.
            traceparent=context.header("traceparent") if context.is_in_trace else "",
            tracestate=context.header("tracestate"),
            token=context.token,
        )

    @contextlib.contextmanager
    def follow(self, context: CallContext, *, may_trace: bool = True) -> Iterator[FollowedCall]:
        """While the call is served. `may_trace`: false for callers that are not let in."""
        begun_ns = time.monotonic_ns()
        sample = self.log.sample(context.header("traceparent"), may_trace=may_trace)
        context.is_in_trace = sample.parent_id != 0
        call = FollowedCall()
        ids = {"request_id": context.request_id}
        if sample.trace_id:
            ids["trace_id"] = f"{sample.trace_id:032x}"
        try:
            with bound_contextvars(**ids):
                yield call
        except asyncio.CancelledError:
            call.code = _code_of_gone(context)
            raise
        finally:
            is_kept = sample.is_traced or sample.is_logged
            if self._keep is not None and is_kept and not context.is_recorded_by_core:
                self._keep(_record(context, sample, call.code, begun_ns))


def _code_of_gone(context: CallContext) -> int:
    has_deadline = context.deadline_ns != NO_DEADLINE
    is_overdue = has_deadline and context.deadline_ns <= time.monotonic_ns()
    return _DEADLINE_EXCEEDED if is_overdue else _CANCELLED


def _record(
    context: CallContext, sample: core.CallSample, code: int, begun_ns: int
) -> core.CallRecord:
    state = context.header("tracestate") if sample.parent_id else ""
    return core.CallRecord(
        path=context.path,
        model="",
        version=0,
        id=context.request_id,
        is_id_cut=False,
        peer=context.peer,
        token=context.token,
        code=code,
        trace_id=sample.trace_id,
        parent_id=sample.parent_id,
        span_id=sample.span_id,
        trace_state=state if len(state) <= _MAX_STATE_CHARACTERS else "",
        is_traced=sample.is_traced,
        is_logged=sample.is_logged,
        rows=0,
        received_bytes=0,
        sent_bytes=0,
        begun_ns=begun_ns,
        received_ns=0,
        started_ns=0,
        gathered_ns=0,
        computed_ns=0,
        answered_ns=time.monotonic_ns(),
    )
