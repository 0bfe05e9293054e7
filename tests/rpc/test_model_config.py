"""ModelConfig answers: who wrote a configuration reads it back, beside what was found out."""

import pytest

from fastserve._core import core
from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.model_config import BatchingConfig, ModelConfig, QueuePolicy, TensorConfig
from fastserve.models.inspection import BatchingDecision
from fastserve.models.loader import LoadedVersion
from fastserve.models.triton_config import read_triton_config
from fastserve.models.warmup import RowsChoice
from fastserve.rpc.model_config import model_config, model_metadata
from tests.models.triton_texts import GOOD

X = core.TensorSpec("x", "FP32", (-1, 4), ("N", ""))
Y = core.TensorSpec("y", "BYTES", (-1, 2), ("N", ""))


def loaded(config, *, is_batching=True, max_rows=32, inputs=(X,), outputs=(Y,)):
    return LoadedVersion(
        model="net",
        number=3,
        config=config,
        inputs=inputs,
        outputs=outputs,
        metadata=core.ModelMetadata("", "", "", "", 0, {}),
        batching=BatchingDecision(is_batching, is_batching, 0, "on: it is safe"),
        rows=RowsChoice(max_rows, "measured"),
        costs=(),
        facts=core.OnnxFacts(8, {"": 17}, 1, []),
        digest="",
        model_sha256="",
        settings_sha256="",
        declared_lineage={},
        profile=None,
        notes=(),
        file_bytes=1,
        memory_bytes=1,
        load_seconds=0.1,
        version=None,
    )


@pytest.mark.parametrize("case", GOOD)
def test_model_config_gives_back_what_a_config_pbtxt_said(case):
    config = read_triton_config(GOOD[case][0].encode(), name="net").config
    is_batching = config.max_request_rows is not None
    specs = [
        core.TensorSpec(name, "FP32", (*([-1] * is_batching), *tensor.reshape), ())
        for name, tensor in config.tensors.items()
    ]
    answer = model_config(
        loaded(
            config,
            is_batching=is_batching,
            max_rows=config.batching.max_rows or 1,
            inputs=specs or (X,),
            outputs=(),
        )
    )
    again = read_triton_config(str(answer).encode(), name="net").config
    for group in ("queue", "runtime", "tensors", "model_file", "max_request_rows"):
        assert getattr(again, group) == getattr(config, group)
    assert again.versions == config.versions or answer.version_policy.latest.num_versions == 1
    if is_batching:
        assert again.batching == config.batching


def test_model_config_says_the_rows_of_a_request_and_of_a_run():
    told = ModelConfig(max_request_rows=64, batching=BatchingConfig(max_delay_us=7))
    answer = model_config(loaded(told))
    assert answer.max_batch_size == 64
    assert list(answer.dynamic_batching.preferred_batch_size) == [32]
    assert answer.dynamic_batching.max_queue_delay_microseconds == 7
    assert list(answer.input[0].dims) == [4]


def test_model_config_leaves_rows_out_of_dims_when_requests_are_bounded_and_run_alone():
    answer = model_config(loaded(ModelConfig(max_request_rows=64), is_batching=False))
    assert (answer.max_batch_size, list(answer.input[0].dims)) == (64, [4])
    assert not answer.HasField("dynamic_batching")


def test_model_config_keeps_whole_shapes_when_the_graph_fixes_rows():
    fixed = core.TensorSpec("x", "FP32", (1, 4), ("", ""))
    answer = model_config(
        loaded(ModelConfig(max_request_rows=64), is_batching=False, inputs=(fixed,))
    )
    assert (answer.max_batch_size, list(answer.input[0].dims)) == (0, [1, 4])


def test_model_config_tells_queue_policies_where_nothing_is_batched():
    text = b"dynamic_batching { default_queue_policy { max_queue_size: 5 timeout_action: DELAY } }"
    told = read_triton_config(text, name="net").config
    answer = model_config(loaded(told, is_batching=False))
    policy = answer.dynamic_batching.default_queue_policy
    assert (policy.max_queue_size, policy.timeout_action) == (5, pb.ModelQueuePolicy.DELAY)
    assert told.queue.default == QueuePolicy(timeout_action="delay", max_requests=5)


@pytest.mark.parametrize(("is_batching", "dims"), [(True, [2, 2]), (False, [-1, 2, 2])])
def test_model_config_and_metadata_tell_the_shape_that_clients_send(is_batching, dims):
    told = ModelConfig(tensors={"x": TensorConfig(shape=(2, 2), reshape=(4,))})
    version = loaded(told, is_batching=is_batching)
    tensor = model_config(version).input[0]
    assert (list(tensor.dims), list(tensor.reshape.shape)) == (dims, [4])
    assert not model_config(version).output[0].HasField("reshape")
    assert list(model_metadata(version, [3]).inputs[0].shape) == [-1, 2, 2]
