"""Every RPC on both transports: same status, message, metadata and bytes.

grpc.aio is the oracle: whatever the native transport says differently is our mistake.
"""

import numpy as np
import pytest

from fastserve._proto import (
    POOL,
    health_pb2,
    open_inference_grpc_pb2 as pb,
    reflection_pb2,
    reflection_v1alpha_pb2,
)

INFERENCE = "inference.GRPCInferenceService"
SERVICES = (
    INFERENCE,
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
# Never ends by itself.
WATCH = "/grpc.health.v1.Health/Watch"
# Puts its services into the pool.
assert reflection_v1alpha_pb2.DESCRIPTOR.name
METHODS = [
    f"/{service}/{rpc.name}"
    for service in SERVICES
    for rpc in POOL.FindServiceByName(service).methods
]
UNARY_PATHS = [path for path in METHODS if path != WATCH]


def infer(model="affine", *, inputs=None, raw=True, **fields):
    """A request of named arrays; by default one row that affine takes."""
    arrays = {"x": np.array([[1, 2, 3]], np.float32)} if inputs is None else inputs
    request = pb.ModelInferRequest(model_name=model, **fields)
    names = {"float32": "FP32", "int64": "INT64", "int32": "INT32", "object": "BYTES"}
    for name, array in arrays.items():
        tensor = request.inputs.add(name=name, datatype=names[str(array.dtype)], shape=array.shape)
        if array.dtype == object:
            values = [value.encode() for value in array.ravel()]
            if raw:
                pieces = b"".join(len(v).to_bytes(4, "little") + v for v in values)
                request.raw_input_contents.append(pieces)
            else:
                tensor.contents.bytes_contents.extend(values)
        elif raw:
            request.raw_input_contents.append(array.tobytes())
        else:
            field = {"float32": "fp32", "int64": "int64", "int32": "int"}[str(array.dtype)]
            getattr(tensor.contents, f"{field}_contents").extend(array.ravel().tolist())
    return request


def changed(request, change):
    change(request)
    return request


ROWS = {"x": np.arange(12, dtype=np.float32).reshape(4, 3)}
PAIR = {"a": np.array([[1, 2]], np.int32), "b": np.array([[3, 5]], np.int32)}
WORDS = {"x": np.array(["", "größer", "x" * 1000], object)}

INFERENCES = {
    "one row": infer(),
    "rows": infer(inputs=ROWS),
    "no rows": infer(inputs={"x": np.zeros((0, 3), np.float32)}),
    "an id": infer(id="request-7"),
    "an old version": infer(model_version="1"),
    "the newest version": infer(model_version="3"),
    "typed contents": infer(inputs=ROWS, raw=False),
    "words": infer("text", inputs=WORDS),
    "typed words": infer("text", inputs=WORDS, raw=False),
    "two inputs": infer("two", inputs=PAIR),
    "one output of two": changed(
        infer("two", inputs=PAIR), lambda r: r.outputs.add(name="difference")
    ),
    "outputs in another order": changed(
        infer("two", inputs=PAIR),
        lambda r: [r.outputs.add(name="difference"), r.outputs.add(name="sum")],
    ),
    "mixing rows": infer("mixing", inputs=ROWS),
    "fixed rows": infer("fixed", inputs={"x": np.array([[1, -2]], np.int64)}),
    "an unknown model": infer("nobody"),
    "a model whose name is no name": infer("a\r\nb\x1b"),
    "a failed model": infer("broken"),
    "a failed version": infer("broken", model_version="1"),
    "an unknown version": infer(model_version="9"),
    "a version that is no number": infer(model_version="one"),
    "version zero": infer(model_version="0"),
    "a wrong name": infer(inputs={"z": ROWS["x"]}),
    "a wrong type": infer(inputs={"x": np.array([[1, 2, 3]], np.int64)}),
    "a wrong shape": infer(inputs={"x": np.zeros((1, 4), np.float32)}),
    "a wrong rank": infer(inputs={"x": np.zeros((3,), np.float32)}),
    "a missing input": infer("two", inputs={"a": PAIR["a"]}),
    "an input twice": changed(infer(), lambda r: r.inputs.append(r.inputs[0])),
    "unequal rows": infer("two", inputs={"a": PAIR["a"], "b": np.zeros((2, 2), np.int32)}),
    "too few bytes": changed(infer(), lambda r: r.raw_input_contents.__setitem__(0, b"1234")),
    "no bytes": changed(infer(), lambda r: r.ClearField("raw_input_contents")),
    "raw and typed": changed(
        infer(), lambda r: r.inputs[0].contents.fp32_contents.extend([1, 2, 3])
    ),
    "a negative dimension": changed(infer(), lambda r: r.inputs[0].shape.__setitem__(0, -1)),
    "a shape that overflows": changed(
        infer(), lambda r: r.inputs[0].shape.__setitem__(0, (1 << 62) + 1)
    ),
    "an unknown output": changed(infer(), lambda r: r.outputs.add(name="nothing")),
    "words that lie about their length": changed(
        infer("text", inputs={"x": np.array(["ab"], object)}),
        lambda r: r.raw_input_contents.__setitem__(0, b"\xff\xff\xff\xffab"),
    ),
    "shared memory": changed(
        infer(),
        lambda r: (
            r.inputs[0]
            .parameters["shared_memory_region"]
            .MergeFrom(pb.InferParameter(string_param="region"))
        ),
    ),
    "an unknown triton parameter": changed(
        infer(),
        lambda r: r.parameters["triton_nothing"].MergeFrom(pb.InferParameter(bool_param=True)),
    ),
    "nothing": pb.ModelInferRequest(),
}


def request_type(path):
    _, service, rpc = path.split("/")
    return POOL.FindServiceByName(service).methods_by_name[rpc].input_type


def both(servers, make_call, *arguments, **keywords):
    native = make_call(servers["native"].grpc, *arguments, **keywords)
    oracle = make_call(servers["grpcio"].grpc, *arguments, **keywords)
    return native, oracle


@pytest.mark.parametrize("case", INFERENCES)
def test_model_infer_agrees_for(servers, make_call, case):
    request = INFERENCES[case].SerializeToString()
    native, oracle = both(servers, make_call, f"/{INFERENCE}/ModelInfer", request)
    assert native == oracle


@pytest.mark.parametrize("ends_on_error", [False, True])
@pytest.mark.parametrize("case", INFERENCES)
def test_model_stream_infer_agrees_for(servers, make_call, case, ends_on_error):
    requests = [infer(id="before"), INFERENCES[case], infer(id="after")]
    metadata = (("triton_grpc_error", "true"),) if ends_on_error else ()
    native, oracle = both(
        servers,
        make_call,
        f"/{INFERENCE}/ModelStreamInfer",
        *(request.SerializeToString() for request in requests),
        metadata=metadata,
    )
    assert native == oracle
    if not ends_on_error:
        assert len(native.answers) == 3


@pytest.mark.parametrize("path", UNARY_PATHS)
def test_empty_message_agrees_on(servers, make_call, path):
    native, oracle = both(servers, make_call, path, b"")
    if path.endswith("/ModelStatistics"):
        assert native.code == oracle.code == "OK"
        return
    assert native == oracle


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("message", [b"\xff", b"\x0a\x05ab", b"\x0b\x0b\x0b", b"\x0a\x02\xc3\x28"])
def test_malformed_message_agrees_on(servers, make_call, path, message):
    native, oracle = both(servers, make_call, path, message)
    assert native == oracle
    # A request without fields takes any well-formed one for an unknown field.
    is_taken = message == b"\x0a\x02\xc3\x28" and not request_type(path).fields
    if not path.endswith("/ModelStreamInfer"):
        assert native.code == ("OK" if is_taken else "INVALID_ARGUMENT")


@pytest.mark.parametrize("path", [path for path in UNARY_PATHS if "Stream" not in path])
@pytest.mark.parametrize("count", [0, 2])
def test_wrong_number_of_messages_agrees_on(servers, make_call, path, count):
    if "ServerReflectionInfo" in path:
        pytest.skip("takes any number of messages")
    native, oracle = both(servers, make_call, path, *[b""] * count)
    assert native.code == oracle.code == "UNIMPLEMENTED"
    assert native.message.partition(";")[0] == oracle.message.partition(";")[0]


@pytest.mark.parametrize(
    "path",
    [
        f"/{INFERENCE}/Nothing",
        "/inference.Nothing/ModelInfer",
        f"/{INFERENCE}/modelinfer",
        f"//{INFERENCE}/ModelInfer",
        f"/{INFERENCE}/ModelInfer/",
        "/x",
    ],
)
def test_unknown_method_agrees(servers, make_call, path):
    native, oracle = both(servers, make_call, path, b"")
    assert native == oracle
    assert (native.code, native.message) == ("UNIMPLEMENTED", "Method not found!")


NAMED = {
    "ModelReady": pb.ModelReadyRequest,
    "ModelMetadata": pb.ModelMetadataRequest,
    "ModelConfig": pb.ModelConfigRequest,
}


@pytest.mark.parametrize("rpc", NAMED)
@pytest.mark.parametrize("name", ["affine", "text", "fixed", "mixing", "broken", "nobody", "a\nb"])
@pytest.mark.parametrize("version", ["", "1", "3", "9", "x", "-1", "0001", "9" * 20])
def test_model_rpcs_agree(servers, make_call, rpc, name, version):
    request = NAMED[rpc](name=name, version=version).SerializeToString()
    native, oracle = both(servers, make_call, f"/{INFERENCE}/{rpc}", request)
    assert native == oracle


@pytest.mark.parametrize("name", ["", "affine", "affine/3", "affine/1", "nobody", INFERENCE])
def test_health_check_agrees(servers, make_call, name):
    request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
    native, oracle = both(servers, make_call, "/grpc.health.v1.Health/Check", request)
    assert native == oracle


REFLECTIONS = [
    reflection_pb2.ServerReflectionRequest(**fields)
    for fields in (
        {"list_services": ""},
        {"file_by_filename": "open_inference_grpc.proto"},
        {"file_containing_symbol": INFERENCE},
        {"file_containing_symbol": "inference.ModelInferRequest.InferInputTensor"},
        {"file_containing_symbol": "no.such.Thing"},
        {"file_by_filename": "../../etc/passwd"},
        {"all_extension_numbers_of_type": "inference.ModelInferRequest"},
        {"host": "me"},
    )
]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_agrees(servers, make_call, version):
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    messages = [request.SerializeToString() for request in REFLECTIONS]
    native, oracle = both(servers, make_call, path, *messages)
    assert native == oracle
    assert len(native.answers) == len(REFLECTIONS)


def test_expired_deadline_agrees(servers, make_call):
    # The words are the client's own when it notices before the server's trailers come.
    for outcome in both(servers, make_call, WATCH, b"", timeout=1):
        assert (outcome.code, len(outcome.answers)) == ("DEADLINE_EXCEEDED", 1)
