"""Both clients against fastserve itself, over the demo's models and held-out rows."""

import asyncio

import numpy as np
import pytest

from fastserve.client import AsyncClient, Client, InferRequest
from fastserve.errors import InvalidTensor, ModelNotFound


@pytest.fixture
def client(demo_server):
    with Client(demo_server.grpc, timeout=30) as client:
        yield client


def check(result, held, rows):
    for name, expected in held.outputs.items():
        got = result[name]
        if expected.dtype.kind == "U":
            assert [text.decode() for text in got.ravel()] == expected[rows].ravel().tolist()
        else:
            np.testing.assert_allclose(got, expected[rows], rtol=1e-4, atol=1e-5)


def test_infer_answers_as_onnx_runtime_does_in_process(demo_models, client):
    for model in demo_models.names:
        held = demo_models.held_out(model)
        result = client.infer(model, {held.input_name: held.rows[:16]})
        check(result, held, slice(0, 16))
        assert result.version == "1"


async def test_every_row_gets_its_own_answer_when_many_are_in_flight(demo_models, demo_server):
    held = demo_models.held_out("digits")
    count = min(100, len(held.rows))
    async with AsyncClient(demo_server.grpc, timeout=30) as client:
        results = await asyncio.gather(
            *(client.infer("digits", {held.input_name: held.rows[n : n + 1]}) for n in range(count))
        )
    for n, result in enumerate(results):
        check(result, held, slice(n, n + 1))


def test_stream_answers_in_order(demo_models, client):
    held = demo_models.held_out("digits")
    requests = [
        InferRequest(
            model="digits", inputs={held.input_name: held.rows[n : n + 1]}, request_id=str(n)
        )
        for n in range(20)
    ]
    for n, result in enumerate(client.infer_stream(requests)):
        assert result.id == str(n)
        check(result, held, slice(n, n + 1))


def test_wrong_dtype_is_refused_with_input_got_and_expected(demo_models, client):
    held = demo_models.held_out("digits")
    with pytest.raises(InvalidTensor) as caught:
        client.infer("digits", {held.input_name: held.rows[:1].astype(np.float64)})
    for word in (held.input_name, "FP64", "FP32"):
        assert word in caught.value.message


def test_unknown_model_is_refused_by_name(client):
    with pytest.raises(ModelNotFound, match="absent"):
        client.infer("absent", {"x": np.zeros((1, 1), np.float32)})


def test_server_and_model_questions_are_answered(demo_models, client):
    assert client.live()
    assert client.ready()
    assert client.health() == "SERVING"
    assert client.server_metadata().name == "fastserve"
    assert {entry.name for entry in client.repository_index()} == set(demo_models.names)
    for model in demo_models.names:
        assert client.model_ready(model)
        assert client.model_metadata(model).versions == ("1",)
        assert client.model_config(model)["name"] == model
        assert client.model_statistics(model)[0]["name"] == model
