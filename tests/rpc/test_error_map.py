"""Every exception has a status; what is not ours leaks nothing."""

import asyncio
import io
import json

import pytest
import structlog

from fastserve import errors
from fastserve._core import core
from fastserve.observe.logs import configure_logs
from fastserve.rpc.context import NO_DEADLINE, CallContext
from fastserve.rpc.error_map import to_status


class Context(CallContext):
    def __init__(self):
        super().__init__("/inference.GRPCInferenceService/ModelReady", "ipv4:1", NO_DEADLINE, ())

    async def send_initial_metadata(self, metadata):
        raise AssertionError("not asked for")


@pytest.fixture
def log():
    stream = io.StringIO()
    configure_logs(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    # Not to a stream of pytest's, which is closed when the next test begins.
    structlog.reset_defaults()


TREE = [k for k in errors.FastserveError.__subclasses__() if k.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", TREE)
def test_errors_of_the_tree_keep_code_and_message(kind, log):
    status = to_status(kind("input 'x': got 3, expected 4"), Context())
    assert (status.code, status.message) == (kind.code, "input 'x': got 3, expected 4")
    assert log() == []


@pytest.mark.parametrize(
    ("error", "code"),
    [(asyncio.CancelledError(), 1), (TimeoutError(), 4), (errors.ModelNotFound("x"), 5)],
)
def test_known_errors_have_their_code(error, code):
    assert to_status(error, Context()).code == code


@pytest.mark.parametrize(
    ("ns", "ms"), [(1, "1"), (1_000_000, "1"), (1_000_001, "2"), (10**9, "1000")]
)
def test_retry_advice_becomes_a_pushback_rounded_up(ns, ms):
    status = to_status(errors.QueueFull("full", retry_after_ns=ns), Context())
    assert status.trailers == (("grpc-retry-pushback-ms", ms),)


def test_errors_of_the_core_are_mapped():
    error = core.CoreError(8, "queue of model 'm' is full", 5_000_000)
    status = to_status(error, Context())
    assert (status.code, status.message) == (8, "queue of model 'm' is full")
    assert status.trailers == (("grpc-retry-pushback-ms", "5"),)


@pytest.mark.parametrize("error", [KeyError("/etc/secret"), RuntimeError(), ZeroDivisionError("x")])
def test_unknown_errors_leak_nothing_and_leave_one_line_with_the_id(error, log):
    status = to_status(error, Context())
    assert status.code == 13
    assert "secret" not in status.message
    (line,) = log()
    assert line["event"] == "handler failed"
    assert status.message.endswith(line["request_id"])
    assert type(error).__name__ in line["traceback"]


def test_message_is_bounded():
    status = to_status(errors.InvalidTensor("x" * 10**6), Context())
    assert len(status.message) == 2_000


def test_trailers_of_the_handler_go_out_with_the_error():
    context = Context()
    context.add_trailer("x-seen", "yes")
    assert to_status(errors.ModelNotFound("x"), context).trailers == (("x-seen", "yes"),)
