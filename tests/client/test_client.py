"""The blocking client against a server that is not ours: works with any server of the protocol."""

import threading

import grpc
import numpy as np
import pytest
from oip_server import NUMPY_TYPES, WEIGHTS, OipServer, serve

from fastserve.client import (
    Client,
    InferRequest,
    InvalidReply,
    RequestFailed,
    RetryPolicy,
    ServerUnreachable,
)
from fastserve.errors import (
    DeadlineExceeded,
    ExecutionFailed,
    FastserveError,
    InvalidConfig,
    InvalidTensor,
    ModelNotFound,
    Overloaded,
    Unauthenticated,
    VersionNotReady,
)

FAST = RetryPolicy(attempts=4, initial_backoff_seconds=0.001, max_backoff_seconds=0.002)
TOKEN = "0123456789abcdef"  # noqa: S105 - a secret of nobody
X = np.array([[1.0, 0.0, 2.0], [0.5, 0.5, 0.5]], np.float32)


@pytest.fixture
def client(peer):
    with Client(peer.address, retries=FAST, timeout=20) as client:
        yield client


def test_infer_returns_what_the_model_computes(client):
    result = client.infer("linear", {"x": X}, request_id="r1")
    np.testing.assert_allclose(result["y"], X @ WEIGHTS, rtol=1e-6)
    assert (result.model, result.version, result.id) == ("linear", "1", "r1")
    assert list(result) == ["y"]
    assert result.datatypes == {"y": "FP32"}


def test_infer_returns_only_the_outputs_asked_for(client):
    ones = np.ones((2, 1), np.float32)
    result = client.infer("pair", {"left": ones, "right": 3 * ones}, outputs=["difference"])
    assert set(result) == {"difference"}
    np.testing.assert_array_equal(result["difference"], -2 * ones)
    with pytest.raises(KeyError, match="output 'sum' is not in the answer"):
        result["sum"]


@pytest.mark.parametrize("typed", [False, True], ids=["raw", "typed"])
@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_infer_round_trips_every_numeric_datatype(peer, client, datatype, typed):
    if typed and datatype == "FP16":
        pytest.skip("the protocol has no typed field for FP16")
    peer.typed = typed
    kind = np.dtype(NUMPY_TYPES[datatype])
    if kind.kind == "b":
        sent = np.array([[True, False], [False, True]])
    elif kind.kind == "f":
        sent = np.array([[np.finfo(kind).max, -0.0], [np.inf, np.finfo(kind).tiny]], kind)
    else:
        sent = np.array([[np.iinfo(kind).min, np.iinfo(kind).max], [1, 2]], kind)
    got = client.infer(f"echo_{datatype.lower()}", {"x": sent})["y"]
    assert got.dtype == kind
    np.testing.assert_array_equal(got, sent)


@pytest.mark.parametrize("typed", [False, True], ids=["raw", "typed"])
@pytest.mark.parametrize(
    "sent",
    [
        np.array([["ab", ""], ["é", "日本"]], object),
        np.array([["ab", ""], ["é", "日本"]]),
        np.array([[b"ab", b""], ["é".encode(), "日本".encode()]], object),
        np.array([[b"ab", b""], ["é".encode(), "日本".encode()]]),
    ],
    ids=["object-str", "U", "object-bytes", "S"],
)
def test_infer_sends_text_in_every_form_of_numpy(peer, client, sent, typed):
    peer.typed = typed
    got = client.infer("echo_bytes", {"x": sent})["y"]
    assert got.tolist() == [[b"ab", b""], ["é".encode(), "日本".encode()]]


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="numpy 1 has no StringDType")
def test_infer_sends_numpys_own_strings(client):
    sent = np.array([["ab", ""], ["é", "日本"]], np.dtypes.StringDType())
    got = client.infer("echo_bytes", {"x": sent})["y"]
    assert [[text.decode() for text in row] for row in got] == sent.tolist()


def test_infer_sends_bfloat16_arrays_and_uint16_arrays_named_bf16(client):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    sent = np.array([[1.5, -2.0]], ml_dtypes.bfloat16)
    got = client.infer("echo_bf16", {"x": sent})
    assert got["y"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(got["y"], sent)
    bits = client.infer("echo_bf16", {"x": sent.view(np.uint16)}, datatypes={"x": "BF16"})
    assert bits.datatypes == {"y": "BF16"}
    np.testing.assert_array_equal(bits["y"], sent)


def test_infer_sends_big_endian_and_strided_arrays_right(client):
    big = np.arange(6, dtype=">f4").reshape(2, 3)
    np.testing.assert_allclose(client.infer("linear", {"x": big})["y"], big @ WEIGHTS, rtol=1e-6)
    strided = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    got = client.infer("linear", {"x": strided})["y"]
    np.testing.assert_allclose(got, strided @ WEIGHTS, rtol=1e-6)


def test_infer_carries_zero_rows(client):
    assert client.infer("linear", {"x": np.zeros((0, 3), np.float32)})["y"].shape == (0, 2)


def test_infer_carries_a_message_of_many_megabytes(client):
    sent = np.arange(2_000_000, dtype=np.float64).reshape(1, -1)
    np.testing.assert_array_equal(client.infer("echo_fp64", {"x": sent})["y"], sent)


def test_infer_names_input_got_and_expected_when_the_dtype_has_no_datatype(client):
    with pytest.raises(
        InvalidTensor, match=r"input 'x': got dtype complex64, expected one of bool"
    ):
        client.infer("linear", {"x": np.zeros((1, 3), np.complex64)})
    with pytest.raises(InvalidTensor, match=r"input 'x': got list, expected a numpy array"):
        client.infer("linear", {"x": [[1.0, 2.0, 3.0]]})
    with pytest.raises(InvalidTensor, match=r"got dtype float32, expected uint16 or bfloat16"):
        client.infer("linear", {"x": X}, datatypes={"x": "BF16"})
    with pytest.raises(InvalidTensor, match=r"element 1 is int, expected bytes or str"):
        client.infer("echo_bytes", {"x": np.array([["a", 1]], object)})


def test_infer_passes_on_the_servers_words_when_the_model_expects_another_dtype(client):
    with pytest.raises(
        InvalidTensor, match=r"'x' data-type is 'FP64', but .* expects 'FP32'"
    ) as caught:
        client.infer("linear", {"x": X.astype(np.float64)})
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert caught.value.message == str(caught.value)


def test_infer_sends_parameters_priority_and_metadata(peer):
    metadata = [("X-Tenant", "blue")]
    with Client(peer.address, token=TOKEN, metadata=metadata) as client:
        result = client.infer(
            "linear",
            {"x": X},
            parameters={"a": True, "b": -5, "c": 2.5, "d": "text", "e": 1 << 63},
            priority=3,
            metadata=[("x-call", "7"), ("x-raw-bin", b"\x00\xff")],
        )
    assert result.parameters == {
        "a": True, "b": -5, "c": 2.5, "d": "text", "e": 1 << 63, "priority": 3,
    }  # fmt: skip
    (seen,) = peer.seen
    assert seen.request.parameters["priority"].WhichOneof("parameter_choice") == "uint64_param"
    assert seen.metadata["authorization"] == f"Bearer {TOKEN}"
    assert seen.metadata["x-tenant"] == "blue"
    assert seen.metadata["x-call"] == "7"
    assert seen.metadata["x-raw-bin"] == b"\x00\xff"


def test_infer_refuses_a_parameter_that_the_protocol_cannot_carry(client):
    with pytest.raises(
        InvalidTensor, match="parameter 'p' is list, expected bool, int, float or str"
    ):
        client.infer("linear", {"x": X}, parameters={"p": [1]})


def test_answers_are_the_same_with_compression(peer):
    with Client(peer.address, compression="gzip") as client:
        got = client.infer("linear", {"x": X})["y"]
    np.testing.assert_allclose(got, X @ WEIGHTS, rtol=1e-6)


def test_timeout_is_the_deadline_that_the_server_sees(peer, client):
    client.infer("linear", {"x": X}, timeout=5)
    client.infer("linear", {"x": X})
    assert 3 < peer.seen[0].seconds_left < 6  # gRPC rounds up on the wire
    assert 15 < peer.seen[1].seconds_left < 22


def test_call_fails_with_deadline_exceeded_and_the_server_sees_it_cancelled(peer, client):
    peer.holding = True
    with pytest.raises(DeadlineExceeded) as caught:
        client.infer("linear", {"x": X}, timeout=0.2)
    assert isinstance(caught.value, TimeoutError)
    assert peer.cancelled.wait(10)


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
def test_call_is_repeated_after_a_status_that_may_pass(peer, client, status):
    peer.refuse(status, times=3)
    np.testing.assert_allclose(client.infer("linear", {"x": X})["y"], X @ WEIGHTS, rtol=1e-6)
    assert len(peer.seen) == 4


def test_call_is_repeated_at_most_as_often_as_the_policy_says(peer, client):
    peer.refuse(grpc.StatusCode.UNAVAILABLE, "later", times=10)
    with pytest.raises(VersionNotReady, match="later"):
        client.infer("linear", {"x": X})
    assert len(peer.seen) == 4


def test_call_is_not_repeated_when_retries_are_off(peer):
    peer.refuse(grpc.StatusCode.UNAVAILABLE)
    with Client(peer.address, retries=0) as client, pytest.raises(VersionNotReady):
        client.infer("linear", {"x": X})
    assert len(peer.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidTensor),
        (grpc.StatusCode.INTERNAL, ExecutionFailed),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.ABORTED, FastserveError),
        (grpc.StatusCode.UNKNOWN, FastserveError),
        (grpc.StatusCode.OUT_OF_RANGE, FastserveError),
    ],
)
def test_call_is_not_repeated_after_any_other_status_and_keeps_its_code(peer, client, status, kind):
    peer.refuse(status, "no")
    with pytest.raises(kind, match="no") as caught:
        client.infer("linear", {"x": X})
    assert caught.value.code == status.value[0]
    assert len(peer.seen) == 1


def test_call_is_not_repeated_when_the_server_forbids_it(peer, client):
    for value in ("-1", "soon"):
        peer.seen.clear()
        peer.refuse(grpc.StatusCode.UNAVAILABLE, trailers=(("grpc-retry-pushback-ms", value),))
        with pytest.raises(VersionNotReady):
            client.infer("linear", {"x": X})
        assert len(peer.seen) == 1


def test_pushback_decides_the_pause_before_the_next_attempt(peer):
    slow = RetryPolicy(attempts=2, initial_backoff_seconds=60, max_backoff_seconds=60)
    peer.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "1"),))
    with Client(peer.address, retries=slow, timeout=20) as client:
        client.infer("linear", {"x": X})
    assert len(peer.seen) == 2
    assert peer.seen[1].seconds_left > 10  # it did not wait for its own backoff


def test_call_fails_at_once_when_the_pause_would_outlast_the_deadline(peer, client):
    peer.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "25000"),))
    with pytest.raises(Overloaded) as caught:
        client.infer("linear", {"x": X}, timeout=20)
    assert caught.value.retry_after_ns == 25_000_000_000
    assert len(peer.seen) == 1


def test_deadline_spans_all_attempts(peer):
    patient = RetryPolicy(attempts=1000, initial_backoff_seconds=0.05, max_backoff_seconds=0.05)
    peer.refuse(grpc.StatusCode.UNAVAILABLE, times=1000)
    # The second when the deadline passes within the last attempt.
    expected = pytest.raises((VersionNotReady, DeadlineExceeded))
    with Client(peer.address, retries=patient) as client, expected:
        client.infer("linear", {"x": X}, timeout=0.5)
    assert 2 < len(peer.seen) <= 14
    assert peer.seen[-1].seconds_left < peer.seen[0].seconds_left


def test_message_larger_than_the_clients_limit_is_not_asked_for_again(peer):
    with (
        Client(peer.address, max_message_bytes=4096, retries=FAST) as client,
        pytest.raises(Overloaded, match="larger than max"),
    ):
        client.infer("echo_fp64", {"x": np.zeros((1, 1000))})
    assert peer.seen == []


def test_unreachable_server_is_named():
    with (
        Client("127.0.0.1:9", retries=0) as client,
        pytest.raises(ServerUnreachable, match=r"cannot reach 127\.0\.0\.1:9") as caught,
    ):
        client.live()
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda m: m.raw_output_contents.append(b""),
            "got 2 raw contents, expected one for each of 1",
        ),
        (lambda m: m.outputs[0].shape.append(2), "got 16 bytes, expected 32 for FP32 of shape"),
        (lambda m: m.outputs[0].shape.insert(0, -1), "expected no negative axis"),
        (
            lambda m: setattr(m.outputs[0], "datatype", "FP8"),
            "output 'y': datatype 'FP8' is unknown",
        ),
        (lambda m: setattr(m.outputs[0], "datatype", "BYTES"), "BYTES element 0 claims"),
        (
            lambda m: m.ClearField("raw_output_contents"),
            "got 0 values in fp32_contents, expected 4",
        ),
    ],
)
def test_answer_that_breaks_the_protocol_is_refused_with_its_fault(peer, client, damage, words):
    peer.damage = damage
    with pytest.raises(InvalidReply, match=words):
        client.infer("linear", {"x": X})


def test_stream_answers_in_order_and_keeps_ids(client):
    requests = (
        InferRequest(model="linear", inputs={"x": X * n}, request_id=str(n)) for n in range(50)
    )
    replies = list(client.infer_stream(requests))
    assert [reply.id for reply in replies] == [str(n) for n in range(50)]
    np.testing.assert_allclose(replies[7]["y"], X * 7 @ WEIGHTS, rtol=1e-6)


def test_stream_goes_on_after_a_refused_request_when_errors_are_returned(client):
    requests = [
        InferRequest(model="linear", inputs={"x": X}),
        InferRequest(model="absent", inputs={"x": X}, request_id="bad"),
        InferRequest(model="linear", inputs={"x": X}),
    ]
    first, second, third = client.infer_stream(requests, return_exceptions=True)
    assert isinstance(second, RequestFailed)
    assert second.request_id == "bad"
    assert "absent" in second.message
    np.testing.assert_array_equal(first["y"], third["y"])
    with pytest.raises(RequestFailed, match="absent"):
        list(client.infer_stream(requests))


def test_stream_raises_the_error_of_the_callers_own_requests(client):
    def requests():
        yield InferRequest(model="linear", inputs={"x": X})
        yield InferRequest(model="linear", inputs={"x": "text"})

    stream = client.infer_stream(requests())
    assert next(stream)["y"].shape == (2, 2)
    with pytest.raises(InvalidTensor, match="input 'x': got str"):
        next(stream)


def test_stream_left_early_is_cancelled(client):
    more = threading.Event()

    def requests():
        yield InferRequest(model="linear", inputs={"x": X})
        more.wait(10)

    stream = client.infer_stream(requests())
    next(stream)
    stream.close()
    more.set()
    assert client.live()


def test_stream_error_of_the_whole_call_has_its_class(peer, client):
    peer.refuse(grpc.StatusCode.UNAUTHENTICATED, "who are you")
    with pytest.raises(Unauthenticated, match="who are you"):
        list(client.infer_stream([InferRequest(model="linear", inputs={"x": X})]))


def test_server_and_model_questions_are_answered(client):
    assert client.live()
    assert client.ready()
    assert client.model_ready("linear")
    assert not client.model_ready("absent")
    assert client.health() == "SERVING"
    assert client.server_metadata().extensions == ("statistics",)
    metadata = client.model_metadata("linear")
    assert metadata.inputs[0].name == "x"
    assert metadata.inputs[0].datatype == "FP32"
    assert metadata.inputs[0].shape == (-1, 3)
    assert metadata.versions == ("1",)
    with pytest.raises(ModelNotFound, match="absent"):
        client.model_metadata("absent")


def test_model_config_is_a_dict_under_the_names_of_the_proto(client):
    config = client.model_config("linear")
    assert config["max_batch_size"] == 8
    assert config["input"][0]["data_type"] == "TYPE_FP32"
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 100
    assert config["parameters"]["batching_reason"] == {
        "string_value": "first axis is symbolic everywhere"
    }
    assert "ensemble_scheduling" not in config


def test_model_statistics_keep_their_integers(client):
    (entry,) = client.model_statistics("linear")
    assert entry["inference_count"] == 5
    assert entry["inference_stats"]["success"] == {"count": 3, "ns": 3_000_000}
    assert entry["batch_stats"][0]["batch_size"] == 4


def test_repository_index_tells_states_and_reasons(client):
    entries = {entry.name: entry for entry in client.repository_index()}
    assert entries["linear"].state == "READY"
    assert entries["broken"].reason == "model.onnx is empty"
    assert "broken" not in {entry.name for entry in client.repository_index(ready_only=True)}


def test_client_serves_many_threads(client):
    failures = []

    def work(seed):
        x = np.random.default_rng(seed).random((4, 3), np.float32)
        for _ in range(20):
            got = client.infer("linear", {"x": x})["y"]
            if not np.allclose(got, x @ WEIGHTS, rtol=1e-5):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_client_reaches_a_unix_socket(tmp_path):
    with (
        serve(OipServer(address=f"unix:{tmp_path}/s.sock")) as server,
        Client(server.address) as client,
    ):
        np.testing.assert_allclose(client.infer("linear", {"x": X})["y"], X @ WEIGHTS, rtol=1e-6)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("localhost", "expected HOST:PORT or unix:PATH"),
        ("localhost:99999", "expected HOST:PORT or unix:PATH"),
        ("http://localhost:8001/", "has the scheme 'http'.* write 'localhost:8001'"),
    ],
)
def test_endpoint_of_a_wrong_form_is_refused_with_the_right_one(target, words):
    with pytest.raises(InvalidConfig, match=words):
        Client(target)


def test_constructor_refuses_values_that_cannot_be_meant():
    with pytest.raises(InvalidConfig, match="timeout is 0 s"):
        Client("a:1", timeout=0)
    with pytest.raises(InvalidConfig, match="attempts are 0"):
        Client("a:1", retries=-1)
    with pytest.raises(InvalidConfig, match="compression is 'br'"):
        Client("a:1", compression="br")
    with pytest.raises(InvalidConfig, match="printable ASCII"):
        Client("a:1", token=TOKEN + " b")


def test_client_finds_a_server_that_was_started_again(tmp_path):
    address = f"unix:{tmp_path}/s.sock"
    with Client(address, retries=RetryPolicy(attempts=50), timeout=20) as client:
        for _ in range(2):
            with serve(OipServer(address=address)):
                assert client.live()
