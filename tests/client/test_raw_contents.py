"""The walk over a large answer's bytes agrees with protobuf, and gives way to it."""

import numpy as np
from hypothesis import given, strategies as st

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.client.raw_contents import MIN_BYTES, split_raw_contents
from fastserve.client.result import parse_result


@given(
    names=st.lists(st.text(max_size=9), max_size=4),
    raw=st.lists(st.binary(max_size=300), max_size=4),
    identity=st.text(max_size=9),
)
def test_walk_finds_what_protobuf_finds(names, raw, identity):
    message = pb.ModelInferResponse(
        model_name="m",
        id=identity,
        outputs=[pb.ModelInferResponse.InferOutputTensor(name=name) for name in names],
        raw_output_contents=raw,
    )
    rest, views = split_raw_contents(message.SerializeToString())
    assert [bytes(view) for view in views] == raw
    message.ClearField("raw_output_contents")
    assert pb.ModelInferResponse.FromString(rest) == message


@given(data=st.binary(max_size=60))
def test_walk_never_raises_and_loses_no_byte(data):
    found = split_raw_contents(data)
    if found is not None:
        rest, views = found
        assert len(rest) + sum(len(view) for view in views) <= len(data)


def test_walk_leaves_scalars_and_torn_fields_to_protobuf():
    assert split_raw_contents(b"\x08\x01") is None  # a varint field, which the message has none of
    assert split_raw_contents(b"\x32\x05abc") is None  # five bytes promised, three there
    assert split_raw_contents(b"\x32" + b"\xff" * 11) is None  # a length of more than ten bytes


def test_large_answer_is_viewed_in_place():
    sent = np.arange(MIN_BYTES, dtype=np.float32)
    message = pb.ModelInferResponse(
        model_name="m",
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(name="y", datatype="FP32", shape=sent.shape),
            pb.ModelInferResponse.InferOutputTensor(name="t", datatype="BYTES", shape=[1]),
        ],
        raw_output_contents=[sent.tobytes(), b"\x02\x00\x00\x00hi"],
    )
    data = message.SerializeToString()
    result = parse_result(data)
    np.testing.assert_array_equal(result["y"], sent)
    assert np.shares_memory(result["y"], np.frombuffer(data, np.uint8))
    assert result["t"].tolist() == [b"hi"]
