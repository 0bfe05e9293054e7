"""The asyncio client, where it could differ from the blocking one."""

import asyncio

import grpc
import numpy as np
import pytest
from oip_server import WEIGHTS

from fastserve.client import (
    AsyncClient,
    InferRequest,
    RequestFailed,
    RetryPolicy,
    ServerUnreachable,
)
from fastserve.errors import DeadlineExceeded, InvalidTensor, VersionNotReady

FAST = RetryPolicy(attempts=4, initial_backoff_seconds=0.001, max_backoff_seconds=0.002)
X = np.array([[1.0, 0.0, 2.0], [0.5, 0.5, 0.5]], np.float32)


@pytest.fixture
async def client(peer):
    async with AsyncClient(peer.address, retries=FAST, timeout=20) as client:
        yield client


async def test_infer_returns_what_the_model_computes_for_many_at_once(client):
    replies = await asyncio.gather(
        *(client.infer("linear", {"x": X * n}, request_id=str(n)) for n in range(100))
    )
    for n, reply in enumerate(replies):
        assert reply.id == str(n)
        np.testing.assert_allclose(reply["y"], X * n @ WEIGHTS, rtol=1e-6)


async def test_call_is_repeated_after_a_status_that_may_pass(peer, client):
    peer.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, times=3)
    assert (await client.infer("linear", {"x": X}))["y"].shape == (2, 2)
    assert len(peer.seen) == 4


async def test_call_is_not_repeated_when_the_server_forbids_it(peer, client):
    peer.refuse(grpc.StatusCode.UNAVAILABLE, trailers=(("grpc-retry-pushback-ms", "-1"),))
    with pytest.raises(VersionNotReady):
        await client.infer("linear", {"x": X})
    assert len(peer.seen) == 1


async def test_call_fails_with_deadline_exceeded_and_the_server_sees_it_cancelled(peer, client):
    peer.holding = True
    with pytest.raises(DeadlineExceeded):
        await client.infer("linear", {"x": X}, timeout=0.2)
    assert await asyncio.to_thread(peer.cancelled.wait, 10)


async def test_cancelled_task_cancels_the_call_on_the_server(peer, client):
    peer.holding = True
    task = asyncio.create_task(client.infer("linear", {"x": X}))
    assert await asyncio.to_thread(peer.held.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(peer.cancelled.wait, 10)


async def test_unreachable_server_is_named():
    async with AsyncClient("127.0.0.1:9", retries=0) as client:
        with pytest.raises(ServerUnreachable, match="cannot reach"):
            await client.ready()


async def test_stream_takes_plain_and_asynchronous_requests(client):
    async def requests():
        for n in range(20):
            yield InferRequest(model="linear", inputs={"x": X}, request_id=str(n))

    ids = [reply.id async for reply in client.infer_stream(requests())]
    assert ids == [str(n) for n in range(20)]
    plain = [InferRequest(model="linear", inputs={"x": X}, request_id="p")]
    assert [reply.id async for reply in client.infer_stream(plain)] == ["p"]


async def test_stream_can_wait_for_an_answer_before_it_asks_again(client):
    answered = asyncio.Event()

    async def requests():
        yield InferRequest(model="linear", inputs={"x": X})
        await answered.wait()
        yield InferRequest(model="linear", inputs={"x": X}, request_id="second")

    stream = client.infer_stream(requests())
    await anext(stream)
    answered.set()
    assert (await anext(stream)).id == "second"
    await stream.aclose()


async def test_stream_returns_or_raises_the_error_of_one_request(client):
    requests = [
        InferRequest(model="absent", inputs={"x": X}, request_id="bad"),
        InferRequest(model="linear", inputs={"x": X}),
    ]
    replies = [reply async for reply in client.infer_stream(requests, return_exceptions=True)]
    assert isinstance(replies[0], RequestFailed)
    assert replies[1]["y"].shape == (2, 2)
    with pytest.raises(RequestFailed):
        [reply async for reply in client.infer_stream(requests)]


async def test_stream_raises_the_error_of_the_callers_own_requests(client):
    requests = [InferRequest(model="linear", inputs={"x": 3})]
    with pytest.raises(InvalidTensor, match="input 'x': got int"):
        [reply async for reply in client.infer_stream(requests)]


async def test_server_and_model_questions_are_answered(client):
    assert await client.live()
    assert await client.ready()
    assert await client.model_ready("linear")
    assert await client.health() == "SERVING"
    assert (await client.server_metadata()).name == "oip"
    assert (await client.model_metadata("pair")).outputs[1].name == "difference"
    assert (await client.model_config("linear"))["max_batch_size"] == 8
    assert (await client.model_statistics("linear"))[0]["execution_count"] == 2
    assert (await client.repository_index())[0].state == "READY"
