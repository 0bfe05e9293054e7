"""GRPCInferenceService on each transport: what clients are told, and tritonclient's view."""

import numpy as np
import pytest
from grpc import RpcError, StatusCode, insecure_channel

from fastserve import __version__
from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub


@pytest.fixture
def stub(server):
    with insecure_channel(server.grpc) as channel:
        yield GRPCInferenceServiceStub(channel)


def affine_request(rows, **fields):
    array = np.ones((rows, 3), np.float32)
    return pb.ModelInferRequest(
        model_name="affine",
        inputs=[{"name": "x", "datatype": "FP32", "shape": array.shape}],
        raw_input_contents=[array.tobytes()],
        **fields,
    )


def refused(call, request):
    with pytest.raises(RpcError) as error:
        call(request)
    return error.value.code(), error.value.details()


def test_server_is_live_and_not_ready_while_a_model_failed(stub):
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert not stub.ServerReady(pb.ServerReadyRequest()).ready


def test_server_metadata_announces_only_what_is_done(stub):
    metadata = stub.ServerMetadata(pb.ServerMetadataRequest())
    assert (metadata.name, metadata.version) == ("fastserve", __version__)
    assert list(metadata.extensions) == [
        *("binary_tensor_data", "model_configuration", "model_repository"),
        *("schedule_policy", "statistics"),
    ]


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [
        ("affine", "", True),
        ("affine", "3", True),
        ("affine", "1", False),
        ("broken", "", False),
        ("nobody", "", False),
        ("affine", "9", False),
    ],
)
def test_model_ready_is_false_without_an_error_for_what_is_not_there(stub, name, version, ready):
    assert stub.ModelReady(pb.ModelReadyRequest(name=name, version=version)).ready is ready


def test_model_metadata_tells_the_signature(stub):
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="two"))
    assert (metadata.platform, list(metadata.versions)) == ("onnxruntime_onnx", ["1"])
    tensors = [(t.name, t.datatype, list(t.shape)) for t in (*metadata.inputs, *metadata.outputs)]
    assert tensors == [
        ("a", "INT32", [-1, 2]),
        ("b", "INT32", [-1, 2]),
        ("sum", "INT32", [-1, 2]),
        ("difference", "INT32", [-1, 2]),
    ]
    assert metadata.properties["producer"] == "tests"
    assert metadata.properties["task"] == "testing"


def test_model_config_leaves_rows_out_of_dims_when_batching(stub):
    config = stub.ModelConfig(pb.ModelConfigRequest(name="affine")).config
    assert config.max_batch_size >= 1
    assert config.HasField("dynamic_batching")
    assert (list(config.input[0].dims), config.input[0].data_type) == ([3], pb.TYPE_FP32)
    assert (config.platform, config.backend) == ("onnxruntime_onnx", "onnxruntime")


@pytest.mark.parametrize(("name", "dims"), [("mixing", [-1, 3]), ("fixed", [1, 2])])
def test_model_config_has_whole_shapes_without_batching(stub, name, dims):
    config = stub.ModelConfig(pb.ModelConfigRequest(name=name)).config
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == dims


def test_repository_index_tells_every_version_and_why_it_is_not_ready(stub):
    index = stub.RepositoryIndex(pb.RepositoryIndexRequest())
    found = {(m.name, m.version): (m.state, m.reason) for m in index.models}
    assert found["affine", "3"] == ("READY", "")
    assert found["affine", "1"][0] == "UNAVAILABLE"
    assert found["broken", "1"][0] == "UNAVAILABLE"
    assert found["broken", "1"][1]
    assert found["hollow", "1"] == ("UNAVAILABLE", "hollow/1/model.onnx: is missing")


def test_repository_index_keeps_to_ready_versions_when_asked(stub):
    index = stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    assert {m.name for m in index.models} == {"affine", "fixed", "mixing", "text", "two"}


def test_repository_index_refuses_a_repository_name(stub):
    request = pb.RepositoryIndexRequest(repository_name="other")
    assert refused(stub.RepositoryIndex, request) == (
        StatusCode.UNIMPLEMENTED,
        "'repository_name' specification is not supported",
    )


@pytest.mark.parametrize(
    "rpc",
    [
        *("TraceSetting", "LogSettings"),
        *("SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"),
        *("CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister"),
    ],
)
def test_what_is_not_done_says_so(stub, rpc):
    code, message = refused(getattr(stub, rpc), getattr(pb, f"{rpc}Request")())
    assert code is StatusCode.UNIMPLEMENTED
    assert message.startswith(f"{rpc} is not supported: ")


def statistics(stub, **fields):
    (one,) = stub.ModelStatistics(pb.ModelStatisticsRequest(**fields)).model_stats
    return one


def test_model_statistics_count_exactly(start_server, make_repository, models, tmp_path, transport):
    repository = make_repository(tmp_path / "repository", {"affine/1": models["affine/1"]})
    server = start_server(repository, "--transport", transport)
    with insecure_channel(server.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        before = statistics(stub, name="affine")
        assert (before.inference_count, before.execution_count) == (0, 0)
        assert before.last_inference == 0
        for rows in (1, 2, 5):
            stub.ModelInfer(affine_request(rows))
        bad = affine_request(1)
        bad.raw_input_contents[0] = b"short"
        refused(stub.ModelInfer, bad)
        after = statistics(stub, name="affine", version="1")
    assert (after.inference_count, after.execution_count) == (8, 3)
    parts = after.inference_stats
    assert (parts.success.count, parts.fail.count) == (3, 1)
    for part in (parts.queue, parts.compute_input, parts.compute_infer, parts.compute_output):
        assert part.count == 3
    assert parts.compute_infer.ns > 0
    assert parts.success.ns >= parts.compute_infer.ns
    batches = {batch.batch_size: batch.compute_infer.count for batch in after.batch_stats}
    assert batches == {1: 1, 2: 1, 5: 1}
    assert after.last_inference > 0


def test_model_statistics_of_all_models_are_those_that_answer(stub):
    names = {one.name for one in stub.ModelStatistics(pb.ModelStatisticsRequest()).model_stats}
    assert names == {"affine", "fixed", "mixing", "text", "two"}


def test_model_statistics_refuse_an_unknown_model(stub):
    code, message = refused(stub.ModelStatistics, pb.ModelStatisticsRequest(name="nobody"))
    assert code is StatusCode.NOT_FOUND
    assert message == "Request for unknown model: 'nobody' is not found"


def test_stream_answers_in_the_order_of_its_requests(stub):
    requests = [affine_request(1 + n % 7, id=str(n)) for n in range(200)]
    answers = list(stub.ModelStreamInfer(iter(requests)))
    assert [answer.infer_response.id for answer in answers] == [str(n) for n in range(200)]
    assert all(
        answer.infer_response.parameters["triton_final_response"].bool_param for answer in answers
    )


def test_tritonclient_finds_what_it_asks_for(server):
    triton = pytest.importorskip("tritonclient.grpc")
    with triton.InferenceServerClient(server.grpc) as client:
        assert client.is_server_live()
        assert client.is_model_ready("affine")
        assert client.get_model_config("affine", as_json=True)["config"]["backend"] == "onnxruntime"
        assert client.get_model_metadata("two").inputs[1].name == "b"
        tensor = triton.InferInput("x", [2, 3], "FP32")
        tensor.set_data_from_numpy(np.full((2, 3), 4, np.float32))
        result = client.infer("affine", [tensor], request_id="7")
        np.testing.assert_array_equal(result.as_numpy("y"), np.full((2, 3), 13, np.float32))
        assert result.get_response().id == "7"
        stats = client.get_inference_statistics("affine")
        assert stats.model_stats[0].inference_count >= 2
