"""Send and SendMany on each transport, through the clients."""

import asyncio

import numpy as np
import pytest
from feedback_server import FeedbackServer

from fastserve._proto import fastserve_feedback_pb2 as pb
from fastserve.client import (
    AsyncClient,
    Client,
    FeedbackSummary,
    Label,
    LabelProblem,
)
from fastserve.errors import (
    Forbidden,
    InvalidTensor,
    ModelNotFound,
    Unauthenticated,
    Unsupported,
)
from fastserve.tokens import Role, Token


@pytest.fixture
def labelled(tmp_path, transport):
    with FeedbackServer(tmp_path, transport, models=("m", "other")).running() as server:
        yield server


@pytest.fixture
def client(labelled):
    with Client(labelled.address, timeout=30) as client:
        yield client


def put(server, id_, *values, model="m"):
    data = np.array(values, np.int64)
    server.store.put(model, 1, id_, [("label", "INT64", data.shape, data.tobytes())], time_ns=0)


def test_each_label_has_its_outcome_in_order(labelled, client):
    put(labelled, "one", 1)
    put(labelled, "two", 1, 0)
    labels = {"one": 1, "two": [1, 1], "nobody": 0, "": 1, "bad": float("nan")}
    result = client.feedback("m", labels)
    assert result.outcomes == ["joined", "joined", "early", "invalid", "invalid"]
    assert result.problems == [
        LabelProblem(3, "", "invalid", "has no request id"),
        LabelProblem(4, "bad", "invalid", "row 0 is nan: expected a number"),
    ]
    assert client.feedback("m", {"one": 1}).outcomes == ["duplicate"]
    assert labelled.measures()["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "value", [1, 1.0, "1", True, np.int64(1), np.float32(1), [1], np.array([1]), ("1",)]
)
def test_value_may_come_in_any_form(labelled, client, value):
    put(labelled, "r", 1)
    assert client.feedback("m", {"r": value}).outcomes == ["joined"]
    assert labelled.measures()["accuracy"] == 1.0


def test_value_that_is_none_is_refused_before_it_is_sent(client):
    with pytest.raises(InvalidTensor, match="request 'r': expected numbers or texts"):
        client.feedback("m", {"r": object()})


def test_values_of_two_kinds_are_invalid(labelled, client, make_call):
    put(labelled, "r", 1, 1)
    label = pb.Label(id="r", int64s=[1], doubles=[1.0])
    request = pb.SendFeedbackRequest(model="m", labels=[label])
    outcome = make_call(
        labelled.address, "/fastserve.v1.Feedback/Send", request.SerializeToString()
    )
    (problem,) = pb.SendFeedbackResponse.FromString(outcome.answers[0]).problems
    assert problem.reason == "has values of more than one kind"


def test_unknown_model_is_not_found(client):
    with pytest.raises(ModelNotFound, match="'absent'"):
        client.feedback("absent", {"r": 1})
    with pytest.raises(ModelNotFound, match="'absent'"):
        client.feedback_many("absent", {"r": 1})
    with pytest.raises(ModelNotFound, match="'absent'"):
        client.feedback_many("absent", {})


def test_stream_of_many_labels_has_one_summary(labelled, client):
    for n in range(5000):
        put(labelled, f"r{n}", n % 2)
    labels = [*(Label(f"r{n}", n % 2) for n in range(5000)), Label("r0", 0), Label("r1", [])]
    summary = client.feedback_many("m", iter(labels))
    assert summary == FeedbackSummary(
        5000, 0, 0, 0, 1, 1,
        [
            LabelProblem(
                5000, "r0", "duplicate", "the prediction has its label, or one waits for it"
            ),
            LabelProblem(
                5001, "r1", "invalid", "has no value: expected one for each row of the request"
            ),
        ],
    )  # fmt: skip
    assert summary.labels == 5002
    assert labelled.counts() == {"joined": 5000, "duplicate": 1, "invalid": 1}


def test_stream_tells_a_bounded_number_of_problems(client):
    summary = client.feedback_many("m", (Label("", n) for n in range(3000)))
    assert summary.invalid == 3000
    assert [problem.place for problem in summary.problems] == list(range(100))


def test_stream_without_labels_ends_with_an_empty_summary(client):
    assert client.feedback_many("m", {}) == (0, 0, 0, 0, 0, 0, [])


def test_error_of_the_callers_own_labels_is_raised(client):
    def labels():
        yield Label("r", 1)
        raise LookupError("no more rows")

    with pytest.raises(LookupError, match="no more rows"):
        client.feedback_many("m", labels())


def test_label_that_came_first_is_joined_when_the_prediction_comes(labelled, client):
    assert client.feedback("m", {"r": 1}).outcomes == ["early"]
    put(labelled, "r", 1)
    # Each call looks first at what has come.
    assert client.feedback("m", {"r": 1}).outcomes == ["duplicate"]
    assert labelled.counts() == {"early": 1, "joined": 1, "duplicate": 1}


def test_models_are_told_apart(labelled, client):
    put(labelled, "r", 1, model="other")
    assert client.feedback("m", {"r": 1}).outcomes == ["early"]
    assert client.feedback("other", {"r": 1}).outcomes == ["joined"]


def test_asyncio_client_sends_labels(labelled):
    put(labelled, "r", 1)

    async def send():
        async with AsyncClient(labelled.address, timeout=30) as client:
            return await client.feedback("m", {"r": 1, "s": 1})

    assert asyncio.run(send()).outcomes == ["joined", "early"]


def test_quality_is_shown_by_model_version_and_segment(labelled, client):
    assert client.show_quality() == []
    for n in range(4):
        put(labelled, f"r{n}", 1)
    client.feedback("m", {f"r{n}": int(n < 3) for n in range(4)} | {"nobody": 1, "bad": []})
    (model,) = client.show_quality()
    assert model["model"] == "m"
    assert {name: count for name, count in model["labels"].items() if count} == {
        "joined": 4, "early": 1, "invalid": 1,
    }  # fmt: skip
    assert client.show_quality("m", version=1) == [model]
    (version,) = model["versions"]
    assert (version["version"], version["labelled_rows"], version["is_over"]) == (1, 4, False)
    assert version["window_end"] - version["window_start"] == version["window_seconds"] == 3600
    (everything,) = version["segments"]
    assert (everything["name"], everything["rows"]) == ("all", 4)
    assert everything["measures"] == {
        "accuracy": 0.75, "precision_macro": 0.375, "recall_macro": 0.5,
    }  # fmt: skip
    assert [(each["name"], each["has_alarm"]) for each in version["detectors"]] == [
        ("adwin", False), ("page_hinkley", False),
    ]  # fmt: skip
    (day,) = client.show_quality("m", window_seconds=86_400)[0]["versions"]
    assert day["window_seconds"] == 86_400


def test_quality_of_what_is_not_there_is_an_error(labelled, client):
    assert client.show_quality("m")[0]["versions"] == []
    with pytest.raises(InvalidTensor, match="window 7 s is not kept"):
        client.show_quality("m", window_seconds=7)
    with pytest.raises(ModelNotFound, match="'absent'"):
        client.show_quality("absent")
    with pytest.raises(ModelNotFound, match="version 7 is not found"):
        client.show_quality("m", version=7)
    put(labelled, "r", 1)
    client.feedback("m", {"r": 1})
    with pytest.raises(InvalidTensor, match="window 7 s is not kept"):
        client.show_quality("m", window_seconds=7)


def test_asyncio_client_shows_quality(labelled):
    put(labelled, "r", 1)

    async def show():
        async with AsyncClient(labelled.address, timeout=30) as client:
            await client.feedback("m", {"r": 1})
            return await client.show_quality("m")

    assert asyncio.run(show())[0]["versions"][0]["segments"][0]["rows"] == 1


def test_token_of_who_may_infer_is_enough(tmp_path, transport):
    tokens = (Token("web", Role.INFER, "web-token"),)
    with FeedbackServer(tmp_path, transport, tokens=tokens).running() as server:
        put(server, "r", 1)
        with Client(server.address, token="web-token", timeout=30) as client:  # noqa: S106
            assert client.feedback("m", {"r": 1}).outcomes == ["joined"]
            with pytest.raises(Forbidden, match="operator"):
                client.show_quality("m")
        with Client(server.address, timeout=30) as client, pytest.raises(Unauthenticated):
            client.feedback("m", {"r": 1})


def test_server_that_keeps_no_predictions_says_so(tmp_path, transport):
    with (
        FeedbackServer(tmp_path, transport, enabled=False).running() as server,
        Client(server.address, timeout=30) as client,
        pytest.raises(Unsupported, match=r"feedback\.enabled = false"),
    ):
        client.feedback("m", {"r": 1})
