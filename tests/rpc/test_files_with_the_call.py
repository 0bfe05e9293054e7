"""RepositoryModelLoad with files: the event loop neither copies nor hashes them."""

import asyncio
import contextlib
import json
import threading
import tracemalloc

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, strategies as st
from thread_server import ThreadServer

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from fastserve.errors import InvalidConfig, InvalidTensor
from fastserve.models.load_pool import LoadPool
from fastserve.models.pinned import pin_memory
from fastserve.rpc.load_request import MAX_FIELDS, MAX_REST_BYTES, read_load_request
from fastserve.rpc.method_table import service_methods
from fastserve.rpc.repository import RepositoryServicer

KEYS = st.sampled_from(["config", "file:1/model.onnx", "file:2/model.onnx", "file:", "x"])
PARAMETERS = st.one_of(
    st.binary(max_size=200).map(lambda data: pb.ModelRepositoryParameter(bytes_param=data)),
    st.text(max_size=20).map(lambda text: pb.ModelRepositoryParameter(string_param=text)),
    st.integers(0, 300).map(lambda number: pb.ModelRepositoryParameter(int64_param=number)),
    st.just(pb.ModelRepositoryParameter()),
)


def whole(read):
    """The message as protobuf would have read it."""
    message = pb.RepositoryModelLoadRequest()
    message.CopyFrom(read.message)
    for key, data in read.files.items():
        if key in message.parameters and not message.parameters[key].bytes_param:
            message.parameters[key].bytes_param = bytes(data)
    return message


@given(st.lists(st.tuples(KEYS, PARAMETERS), max_size=6), st.text(max_size=200))
def test_request_is_what_protobuf_reads_without_the_bytes_of_files(entries, name):
    # Concatenated messages are one: the later entry of a key counts.
    data = b"".join(
        pb.RepositoryModelLoadRequest(model_name=name, parameters={key: value}).SerializeToString()
        for key, value in entries
    )
    read = read_load_request(data)
    expected = pb.RepositoryModelLoadRequest.FromString(data)
    last_words = {
        key: value
        for key, value in entries
        if value.WhichOneof("parameter_choice") != "bytes_param"
    }
    for key in read.files:
        if expected.parameters[key] == last_words.get(key):
            assert not read.message.parameters[key].bytes_param
        else:
            assert read.files[key] == expected.parameters[key].bytes_param
    if not read.files.keys() & last_words.keys():
        assert whole(read) == expected


@given(st.binary(max_size=40))
def test_request_that_protobuf_refuses_is_refused(data):
    with contextlib.suppress(DecodeError):
        read = read_load_request(data)
        assert whole(read) == pb.RepositoryModelLoadRequest.FromString(data)


def test_request_with_more_beside_its_files_than_a_configuration_is_refused():
    request = pb.RepositoryModelLoadRequest(model_name="m")
    request.parameters["config"].string_param = "x" * MAX_REST_BYTES
    with pytest.raises(InvalidTensor, match="beside its files"):
        read_load_request(request.SerializeToString())
    with pytest.raises(InvalidTensor, match="more than 4096 parameters"):
        read_load_request(b"\x12\x01m" * (MAX_FIELDS + 1))


def test_file_is_hashed_and_looked_at_where_it_lies(models):
    request = pb.RepositoryModelLoadRequest(model_name="m")
    # Behind the graph, a field that no ONNX file has: stepped over.
    padding = 32 << 20
    model = models["affine/1"] + b"\xfa\x3f" + bytes((0x80, 0x80, 0x80, 0x10)) + bytes(padding)
    request.parameters["file:1/model.onnx"].bytes_param = model
    data = memoryview(request.SerializeToString())
    tracemalloc.start()
    try:
        file = read_load_request(data).files["file:1/model.onnx"]
        pinned = pin_memory({"model.onnx": file})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pinned.model.obj is data.obj
    assert peak < padding / 10


class _Receiver(ThreadServer):
    """Keeps what RepositoryModelLoad gets, undecoded."""

    def open(self, _catalog, _readiness):
        self.received = []
        return service_methods(
            "inference.GRPCInferenceService",
            {"RepositoryModelLoad": self.load},
            decoders={"RepositoryModelLoad": lambda data: data},
        )

    async def load(self, request, _context):
        self.received.append(request)
        return pb.RepositoryModelLoadResponse()


def test_transport_hands_a_large_message_over_where_it_lies(tmp_path):
    requests = [pb.RepositoryModelLoadRequest(model_name="m") for _ in range(2)]
    requests[1].parameters["file:1/model.onnx"].bytes_param = bytes(range(256)) * 8192
    with _Receiver(tmp_path).running() as server, grpc.insecure_channel(server.address) as channel:
        for request in requests:
            GRPCInferenceServiceStub(channel).RepositoryModelLoad(request, timeout=30)
    small, large = server.received
    assert type(small) is bytes
    assert type(large) is memoryview
    assert large.readonly
    assert [small, large] == [request.SerializeToString() for request in requests]


async def test_files_are_read_and_hashed_by_the_load_threads():
    pool = LoadPool(1)
    is_free = threading.Event()
    # The only thread is taken: what is for it cannot begin.
    taken = asyncio.create_task(pool.run(is_free.wait))
    request = pb.RepositoryModelLoadRequest(model_name="m")
    request.parameters["config"].string_param = json.dumps({"platform": "onnxruntime_onnx"})
    request.parameters["file:1/model.onnx"].bytes_param = b""
    servicer = RepositoryServicer(None, None, pool, is_following=False)
    load = asyncio.create_task(servicer.load(read_load_request(request.SerializeToString()), None))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not load.done()
    is_free.set()
    await taken
    with pytest.raises(InvalidConfig, match=r"upload/model\.onnx: is empty"):
        await load
    pool.close()
