"""A small server of the Open Inference Protocol: grpc.aio outside, ONNX Runtime inside.

It stands for any peer's server, answers with real runs of real ONNX models, and can be told to
refuse or to hold calls, so that what a client does then can be seen from the outside.
"""

import asyncio
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from fastserve._proto import (
    health_pb2,
    health_pb2_grpc,
    open_inference_grpc_pb2 as pb,
    open_inference_grpc_pb2_grpc as pb_grpc,
)

WEIGHTS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
NUMPY_TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def _value(name, datatype, shape):
    return helper.make_tensor_value_info(name, ONNX_TYPES[datatype], shape)


def _model(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def linear_model():
    """y = x @ WEIGHTS, rows by 3 in, rows by 2 out."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, WEIGHTS.shape, WEIGHTS.ravel())
    return _model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [_value("x", "FP32", ["rows", 3])],
        [_value("y", "FP32", ["rows", 2])],
        [weights],
    )


def echo_model(datatype):
    """Gives back a matrix of any size."""
    return _model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [_value("x", datatype, ["rows", "columns"])],
        [_value("y", datatype, ["rows", "columns"])],
    )


def pair_model():
    """sum and difference of two columns of numbers."""
    return _model(
        [
            helper.make_node("Add", ["left", "right"], ["sum"]),
            helper.make_node("Sub", ["left", "right"], ["difference"]),
        ],
        [_value("left", "FP32", ["rows", 1]), _value("right", "FP32", ["rows", 1])],
        [_value("sum", "FP32", ["rows", 1]), _value("difference", "FP32", ["rows", 1])],
    )


def all_models():
    models = {"linear": linear_model(), "pair": pair_model()}
    return models | {f"echo_{name.lower()}": echo_model(name) for name in ONNX_TYPES}


@dataclass
class Refusal:
    """What a call is answered with instead of a result."""

    code: grpc.StatusCode
    message: str = "refused"
    trailers: tuple = ()


@dataclass
class Seen:
    """What the server saw of one ModelInfer call."""

    metadata: dict
    seconds_left: float | None
    request: pb.ModelInferRequest


@dataclass
class OipServer(pb_grpc.GRPCInferenceServiceServicer, health_pb2_grpc.HealthServicer):
    address: str = "127.0.0.1:0"
    credentials: grpc.ServerCredentials | None = None
    refusals: deque = field(default_factory=deque)
    seen: list = field(default_factory=list)
    typed: bool = False  # answer in typed fields, as MLServer and KServe may
    holding: bool = False
    held: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    damage: object = None  # a function over the response before it is sent

    def __post_init__(self):
        self.sessions = {
            name: onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            for name, data in all_models().items()
        }
        self._stop = None

    async def run(self, on_ready):
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ]
        )
        pb_grpc.add_GRPCInferenceServiceServicer_to_server(self, server)
        health_pb2_grpc.add_HealthServicer_to_server(self, server)
        if self.credentials is None:
            port = server.add_insecure_port(self.address)
        else:
            port = server.add_secure_port(self.address, self.credentials)
        await server.start()
        if not self.address.startswith("unix:"):
            self.address = f"127.0.0.1:{port}"
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        on_ready()
        await self._stop.wait()
        await server.stop(None)

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)

    def forget(self):
        """Back to answering everything."""
        for past in (self.refusals, self.seen, self.held, self.cancelled):
            past.clear()
        self.typed = self.holding = False
        self.damage = None

    def refuse(self, code, message="refused", trailers=(), times=1):
        self.refusals.extend([Refusal(code, message, trailers)] * times)

    async def _abort_if_told(self, context):
        if self.refusals:
            refusal = self.refusals.popleft()
            await context.abort(refusal.code, refusal.message, refusal.trailers)

    async def ServerLive(self, request, context):  # noqa: N802
        await self._abort_if_told(context)
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request, context):  # noqa: N802
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(self, request, context):  # noqa: N802
        return pb.ModelReadyResponse(ready=request.name in self.sessions)

    async def ServerMetadata(self, request, context):  # noqa: N802
        return pb.ServerMetadataResponse(name="oip", version="2", extensions=["statistics"])

    async def Check(self, request, context):  # noqa: N802
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def ModelMetadata(self, request, context):  # noqa: N802
        session = await self._session(request.name, context)
        reply = pb.ModelMetadataResponse(
            name=request.name, versions=["1"], platform="onnxruntime_onnx"
        )
        for place, values in (
            (reply.inputs, session.get_inputs()),
            (reply.outputs, session.get_outputs()),
        ):
            for value in values:
                place.add(name=value.name, datatype=_datatype(value.type), shape=_dims(value.shape))
        return reply

    async def ModelConfig(self, request, context):  # noqa: N802
        await self._session(request.name, context)
        config = pb.ModelConfig(name=request.name, platform="onnxruntime_onnx", max_batch_size=8)
        config.dynamic_batching.max_queue_delay_microseconds = 100
        config.parameters["batching_reason"].string_value = "first axis is symbolic everywhere"
        config.input.add(name="x", data_type=pb.TYPE_FP32, dims=[3])
        return pb.ModelConfigResponse(config=config)

    async def ModelStatistics(self, request, context):  # noqa: N802
        stats = pb.ModelStatistics(
            name=request.name, version="1", inference_count=5, execution_count=2
        )
        stats.inference_stats.success.count = 3
        stats.inference_stats.success.ns = 3_000_000
        stats.batch_stats.add(batch_size=4)
        return pb.ModelStatisticsResponse(model_stats=[stats])

    async def RepositoryIndex(self, request, context):  # noqa: N802
        reply = pb.RepositoryIndexResponse()
        for name in self.sessions:
            reply.models.add(name=name, version="1", state="READY")
        if not request.ready:
            reply.models.add(
                name="broken", version="3", state="UNAVAILABLE", reason="model.onnx is empty"
            )
        return reply

    async def ModelInfer(self, request, context):  # noqa: N802
        left = context.time_remaining()
        self.seen.append(Seen(dict(context.invocation_metadata()), left, request))
        await self._abort_if_told(context)
        if self.holding:
            self.held.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        response = await self._infer(request, context)
        if self.damage is not None:
            self.damage(response)
        return response

    async def ModelStreamInfer(self, request_iterator, context):  # noqa: N802
        await self._abort_if_told(context)
        async for request in request_iterator:
            reply = pb.ModelStreamInferResponse()
            if request.model_name in self.sessions:
                reply.infer_response.CopyFrom(await self._infer(request, context))
            else:
                reply.error_message = (
                    f"Request for unknown model: '{request.model_name}' is not found"
                )
                reply.infer_response.id = request.id
            yield reply

    async def _session(self, name, context):
        if name == "echo_bf16":
            return None
        if name not in self.sessions:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found"
            )
        return self.sessions[name]

    async def _infer(self, request, context):
        session = await self._session(request.model_name, context)
        response = pb.ModelInferResponse(
            model_name=request.model_name, model_version="1", id=request.id
        )
        if session is None:  # ONNX Runtime's Python API cannot take bfloat16 arrays
            tensor = request.inputs[0]
            response.outputs.add(name="y", datatype="BF16", shape=tensor.shape)
            response.raw_output_contents.append(request.raw_input_contents[0])
            return response
        expected = {value.name: _datatype(value.type) for value in session.get_inputs()}
        feeds = {}
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            if expected.get(tensor.name) != tensor.datatype:
                await context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"inference input '{tensor.name}' data-type is '{tensor.datatype}', but model "
                    f"'{request.model_name}' expects '{expected.get(tensor.name)}'",
                )
            feeds[tensor.name] = _decode(tensor, raw)
        wanted = [output.name for output in request.outputs]
        wanted = wanted or [value.name for value in session.get_outputs()]
        for name, array in zip(wanted, session.run(wanted, feeds), strict=True):
            self._append(response, name, array)
        for name, value in request.parameters.items():
            response.parameters[name].CopyFrom(value)
        return response

    def _append(self, response, name, array):
        datatype = "BYTES" if array.dtype == object else _datatype_of(array.dtype)
        output = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if self.typed:
            _fill_typed(output.contents, datatype, array)
        elif datatype == "BYTES":
            elements = [text.encode() for text in array.ravel()]
            response.raw_output_contents.append(
                b"".join(len(text).to_bytes(4, "little") + text for text in elements)
            )
        else:
            response.raw_output_contents.append(array.tobytes())


def _decode(tensor, raw):
    if tensor.datatype != "BYTES":
        return np.frombuffer(raw, NUMPY_TYPES[tensor.datatype]).reshape(tuple(tensor.shape))
    elements = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "little")
        elements.append(raw[4:end].decode())
        raw = raw[end:]
    return np.array(elements, object).reshape(tuple(tensor.shape))


def _fill_typed(contents, datatype, array):
    values = array.ravel().tolist()
    if datatype == "BYTES":
        contents.bytes_contents.extend(text.encode() for text in values)
        return
    fields = {
        "BOOL": "bool", "UINT64": "uint64", "INT64": "int64", "FP32": "fp32", "FP64": "fp64",
    }  # fmt: skip
    kind = fields.get(datatype, "uint" if datatype.startswith("UINT") else "int")
    getattr(contents, f"{kind}_contents").extend(values)


def _datatype(onnx_type):
    names = {"float": "FP32", "double": "FP64", "float16": "FP16", "string": "BYTES"}
    kind = onnx_type.removeprefix("tensor(").removesuffix(")")
    return names.get(kind, kind.upper())


def _datatype_of(dtype):
    return next(name for name, kind in NUMPY_TYPES.items() if dtype == kind)


def _dims(shape):
    return [dim if isinstance(dim, int) else -1 for dim in shape]


@contextmanager
def serve(server):
    """Runs `server` on a thread with an event loop of its own until the block ends."""
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(server.run(ready.set)), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
