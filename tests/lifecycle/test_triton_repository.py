"""RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload as Triton's clients use them."""

import json
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper, numpy_helper

from fastserve._proto import fastserve_control_pb2 as control_pb, open_inference_grpc_pb2 as pb
from tests.lifecycle.conftest import constant_model, put, request

CONFIG = {"name": "given", "platform": "onnxruntime_onnx", "max_batch_size": 8}


@pytest.fixture
def served(start_server, repository):
    return start_server(repository, "--explicit", "--load-model", "m")


@pytest.fixture
def client(served):
    with triton.InferenceServerClient(served.grpc) as connected:
        yield connected


def infer(client, model="m"):
    tensor = triton.InferInput("x", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 2), np.float32))
    return client.infer(model, [tensor]).as_numpy("version").item()


def index(client):
    found = client.get_model_repository_index(as_json=True)
    return {(each["name"], each.get("version")): each for each in found["models"]}


def test_client_loads_and_unloads(client, repository):
    put(repository, "other", 1, constant_model(5))
    client.load_model("other")
    assert infer(client, "other") == 5
    assert index(client)["other", "1"]["state"] == "READY"
    client.unload_model("other")
    with pytest.raises(triton.InferenceServerException, match="has no available versions"):
        infer(client, "other")
    assert index(client)["other", "1"]["state"] in {"UNLOADING", "UNAVAILABLE"}


def test_client_loads_files_and_configuration_that_it_sends(client):
    files = {"file:1/model.onnx": constant_model(9)}
    client.load_model("given", config=json.dumps(CONFIG), files=files)
    assert infer(client, "given") == 9
    config = client.get_model_config("given", as_json=True)["config"]
    assert config["max_batch_size"] == 8


def test_client_goes_back_from_its_files_to_those_of_the_repository(client):
    config = {"platform": "onnxruntime_onnx", "max_batch_size": 8}
    files = {"file:1/model.onnx": constant_model(9)}
    client.load_model("m", config=json.dumps(config), files=files)
    assert infer(client) == 9
    client.load_model("m")
    assert infer(client) == 1


def test_client_sends_a_configuration_for_what_the_repository_holds(client):
    config = {"max_batch_size": 4, "platform": "onnxruntime_onnx"}
    client.load_model("m", config=json.dumps(config))
    assert client.get_model_config("m", as_json=True)["config"]["max_batch_size"] == 4
    client.load_model("m")
    assert client.get_model_config("m", as_json=True)["config"]["max_batch_size"] != 4


def test_index_shows_failed_versions_with_their_reasons(client, repository):
    put(repository, "bad", 1, b"no model")
    with pytest.raises(triton.InferenceServerException, match="load failed for model 'bad'"):
        client.load_model("bad")
    entry = index(client)["bad", "1"]
    assert entry["state"] == "UNAVAILABLE"
    assert "bad/1/model.onnx" in entry["reason"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"file:1/model.onnx": {"bytes_param": b"x"}}, "without the parameter 'config'"),
        ({"files": {"string_param": "x"}}, "unrecognized load parameter 'files'"),
        ({"config": {"int64_param": 1}}, "must be a string_param"),
        ({"config": {"string_param": "{"}}, "config"),
        ({"config": {"string_param": "{}"}, "file:model.onnx": {"bytes_param": b""}}, "file:1/"),
        (
            {"config": {"string_param": "{}"}, "file:1/../../x": {"bytes_param": b"x"}},
            "load failed",
        ),
        (
            {"config": {"string_param": "{}"}, "file:1//etc/passwd": {"bytes_param": b"x"}},
            "load failed",
        ),
    ],
)
def test_parameters_that_cannot_be_are_refused(operator_of, served, parameters, words):
    operator = operator_of(served)
    message = pb.RepositoryModelLoadRequest(model_name="given")
    for key, value in parameters.items():
        for kind, content in value.items():
            setattr(message.parameters[key], kind, content)
    with pytest.raises(grpc.RpcError) as refused:
        operator.inference.RepositoryModelLoad(message, timeout=30)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in refused.value.details()
    assert operator.version() == 1


def test_repository_name_is_not_supported(operator_of, served):
    operator = operator_of(served)
    for call, message in (
        (operator.inference.RepositoryModelLoad, pb.RepositoryModelLoadRequest),
        (operator.inference.RepositoryModelUnload, pb.RepositoryModelUnloadRequest),
        (operator.inference.RepositoryIndex, pb.RepositoryIndexRequest),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(message(repository_name="r"), timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_load_goes_on_when_its_caller_leaves(operator_of, served, repository):
    put(repository, "other", 1, constant_model(5, weight_bytes=20_000_000))
    operator = operator_of(served)
    message = pb.RepositoryModelLoadRequest(model_name="other")
    call = operator.inference.RepositoryModelLoad.future(message, timeout=60)
    operator.wait_until(lambda: any(record.get("model") == "other" for record in served.logs))
    call.cancel()
    operator.wait_until(lambda: operator.states("other") == {1: "READY"})
    # Under its number it answers; a moment later it is also the version that serves.
    is_serving = pb.ModelReadyRequest(name="other")
    operator.wait_until(lambda: operator.inference.ModelReady(is_serving, timeout=30).ready)
    response = operator.inference.ModelInfer(request("other"), timeout=30)
    assert np.frombuffer(response.raw_output_contents[0], np.float32).tolist() == [5]
    assert not [record for record in served.logs if "Traceback" in str(record)]


def test_idle_uploads_hold_no_load_up(operator_of, served, repository):
    operator = operator_of(served)
    put(repository, "m", 2, constant_model(2))
    header = control_pb.PushModelRequest(header=control_pb.PushModelRequest.Header(model="up"))
    is_over = threading.Event()

    def idle():
        yield header
        is_over.wait(30)

    uploads = [operator.control.PushModel.future(idle(), timeout=30) for _ in range(8)]
    operator.load("m", 2)
    assert operator.version() == 2
    is_over.set()
    for upload in uploads:
        upload.cancel()


def optional_model():
    """y = x + needed + given; `given` is an input that the graph has a value for."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1])
        for name in ("x", "needed", "given")
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "needed"], ["sum"]),
            helper.make_node("Add", ["sum", "given"], ["y"]),
        ],
        "g",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(np.full((1, 1), 5, np.float32), "given")],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def test_optional_inputs_are_served_as_far_as_onnx_has_them(operator_of, served, repository):
    put(repository, "o", 1, optional_model())
    (repository / "o" / "config.pbtxt").write_text(
        "max_batch_size: 4\n"
        'input { name: "x" data_type: TYPE_FP32 dims: 1 }\n'
        'input { name: "needed" data_type: TYPE_FP32 dims: 1 optional: true }\n'
        'input { name: "given" data_type: TYPE_FP32 dims: 1 optional: true }\n'
    )
    operator = operator_of(served)
    operator.load("o", 1)
    notes = list(operator.describe("o").versions[0].notes)
    assert [note.split(": a request")[0] for note in notes] == [
        "config.pbtxt:3: input[1].optional: the graph needs 'needed'",
        "config.pbtxt:4: input[2].optional: the graph takes no 'given'",
    ]

    def ask(*names):
        value = np.ones((1, 1), np.float32)
        message = pb.ModelInferRequest(
            model_name="o",
            inputs=[{"name": name, "datatype": "FP32", "shape": (1, 1)} for name in names],
            raw_input_contents=[value.tobytes()] * len(names),
        )
        answer = operator.inference.ModelInfer(message, timeout=30)
        return np.frombuffer(answer.raw_output_contents[0], np.float32).item()

    assert ask("x", "needed") == 7
    for names, word in ((("x",), "needed"), (("x", "needed", "given"), "given")):
        with pytest.raises(grpc.RpcError, match=word) as refused:
            ask(*names)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
