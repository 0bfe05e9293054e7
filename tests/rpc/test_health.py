"""grpc.health.v1 on each transport."""

import asyncio

import grpc
import pytest

from fastserve._core import core
from fastserve._proto import health_pb2
from fastserve._proto.health_pb2_grpc import HealthStub
from fastserve.models.catalog import Catalog
from fastserve.models.readiness import Readiness
from fastserve.rpc.health import HealthServicer

Status = health_pb2.HealthCheckResponse


def asked(service=""):
    return health_pb2.HealthCheckRequest(service=service)


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield HealthStub(channel)


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", Status.NOT_SERVING),  # a model of the repository failed
        ("inference.GRPCInferenceService", Status.NOT_SERVING),
        ("affine", Status.SERVING),
        ("affine/3", Status.SERVING),
        ("affine/1", Status.NOT_SERVING),
        ("broken", Status.NOT_SERVING),
    ],
)
def test_check_answers_for_the_server_and_for_each_model(stub, service, status):
    assert stub.Check(asked(service)).status == status


@pytest.mark.parametrize("service", ["nobody", "affine/9", "affine/x", "inference"])
def test_check_says_not_found_for_what_is_not_there(stub, service):
    with pytest.raises(grpc.RpcError) as error:
        stub.Check(asked(service))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_watch_says_service_unknown_and_goes_on(stub):
    watch = stub.Watch(asked("nobody"), timeout=30)
    assert next(watch).status == Status.SERVICE_UNKNOWN
    assert watch.is_active()
    watch.cancel()


def test_watch_tells_of_a_drain_and_ends(
    start_server, make_repository, models, tmp_path, transport
):
    repository = make_repository(tmp_path / "repository", {"affine/1": models["affine/1"]})
    server = start_server(repository, "--transport", transport)
    with grpc.insecure_channel(server.grpc) as channel:
        stub = HealthStub(channel)
        watches = [stub.Watch(asked(name), timeout=30) for name in ("", "affine")]
        assert [next(watch).status for watch in watches] == [Status.SERVING] * 2
        server.stop(expected=0)
        for watch in watches:
            assert next(watch).status == Status.NOT_SERVING
            with pytest.raises(StopIteration):
                next(watch)


def test_drain_that_begins_while_a_watcher_is_told_is_told_as_well():
    """Between two messages of a stream the event loop may do anything."""

    async def told(readiness):
        statuses = []
        async for message in HealthServicer(readiness, ()).watch(asked(), None):
            statuses.append(message.status)
            readiness.start_drain()
        return statuses

    engine = core.Engine(
        executors=1, max_ports=1, max_queue_rows=1, max_queue_bytes=1,
        max_total_queue_bytes=1, inline_budget_ns=0,
    )  # fmt: skip
    try:
        catalog = Catalog(engine)
        catalog.is_settled = True
        statuses = asyncio.run(told(Readiness(catalog)))
    finally:
        engine.close()
    assert statuses == [Status.SERVING, Status.NOT_SERVING]


def test_many_watches_end_with_their_clients(stub, server):
    """A cancelled watch leaves nothing behind: the next ones still answer."""
    for _ in range(50):
        watch = stub.Watch(asked("affine"), timeout=30)
        assert next(watch).status == Status.SERVING
        watch.cancel()
    assert stub.Check(asked("affine")).status == Status.SERVING
