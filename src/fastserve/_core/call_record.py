"""What the core says of calls (core.CallLog), as plain tuples."""

from typing import NamedTuple


class CallRecord(NamedTuple):
    """One call as it ended. Texts of clients are cut; times are monotonic, 0 where it never came.

    The times of an inference: begun, received (the request is whole), started (taken from the
    queue), gathered (joined with its batch), computed, answered.
    """

    path: str
    model: str  # as found, else as the request names it
    version: int  # 0 when none was found
    id: str  # the request's own, at most 128 bytes
    is_id_cut: bool
    peer: str
    token: int  # number of its token (observe/actor_names.py); -1: none asked for, -2: refused
    code: int  # gRPC status number
    trace_id: int  # 0: in no trace
    parent_id: int  # 0: the trace begins here
    span_id: int  # 0 unless traced
    trace_state: str
    is_traced: bool
    is_logged: bool
    rows: int
    received_bytes: int
    sent_bytes: int
    begun_ns: int
    received_ns: int
    started_ns: int
    gathered_ns: int
    computed_ns: int
    answered_ns: int


class CallSample(NamedTuple):
    """What is decided about a call when it begins."""

    trace_id: int
    parent_id: int
    span_id: int
    is_traced: bool
    is_logged: bool


class CallLogStats(NamedTuple):
    recorded: int
    dropped_spans: int  # of calls that found no room for a record
    dropped_lines: int
    invalid_contexts: int  # traceparent headers that are none


class CallOrigin(NamedTuple):
    """Where a request of a RawPort comes from, for its record."""

    is_stream: bool
    peer: str
    traceparent: str
    tracestate: str
    token: int
