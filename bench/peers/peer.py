"""The servers that fastserve is compared with, and how each is started and spoken to."""

from __future__ import annotations

import json
import socket
import struct
import sysconfig
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import payload
from children import SERVER_CORE
from onnx_model import OnnxModel, free_port
from peers import environment
from peers.environment import Unavailable
from peers.tree import Tree

from fastserve._proto import open_inference_grpc_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from children import Child
    from numpy.typing import NDArray

    Arrays = list[NDArray[np.generic]]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INFER = "/inference.GRPCInferenceService/ModelInfer"
START_SECONDS = 120.0
CALL_SECONDS = 20.0
DTYPES = {"FP32": np.float32, "INT64": np.int64}


@dataclass(frozen=True)
class Wire:
    """How a tensor goes to a server and comes back: the bytes of both bodies."""

    path: str
    write: Callable[[str, tuple[int, ...]], bytes]  # model's name and shape -> a request's body
    read: Callable[[bytes, Arrays], Arrays]  # an answer's body, what is expected -> the same kind
    headers: tuple[str, ...] = ()
    http1: bool = False

    @property
    def depths(self) -> tuple[tuple[int, int], ...]:
        """Returns connections and requests in flight on each, deepest first.

        HTTP/1.1 has one request in flight on a connection: as many requests on more connections.
        """
        if self.http1:
            return (256, 1), (64, 1), (16, 1), (4, 1)
        return (4, 64), (4, 16), (4, 4), (4, 1)

    def call(self, address: str, body: bytes) -> bytes:
        """Sends one request and returns the answer's body.

        Errors: OSError or grpc.RpcError.
        """
        if self.http1:
            headers = dict(header.split(": ", 1) for header in self.headers)
            request = urllib.request.Request(f"http://{address}{self.path}", body, headers)
            with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310
                found: bytes = answer.read()
            return found
        with grpc.insecure_channel(address) as channel:
            infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(self.path)
            return infer(body, timeout=CALL_SECONDS)

    def framed(self, body: bytes) -> bytes:
        """Returns the body as it goes over the wire: gRPC puts five bytes before it."""
        return body if self.http1 else struct.pack(">BI", 0, len(body)) + body


def _grpc_answer(body: bytes, _: Arrays) -> Arrays:
    response = pb.ModelInferResponse.FromString(body)
    arrays: Arrays = []
    for number, tensor in enumerate(response.outputs):
        dtype = DTYPES[tensor.datatype]
        if response.raw_output_contents:
            flat = np.frombuffer(response.raw_output_contents[number], dtype)
        else:
            contents = tensor.contents
            flat = np.array(list(contents.fp32_contents or contents.int64_contents), dtype)
        arrays.append(flat.reshape(tensor.shape))
    return arrays


def _json_body(model: str, shape: tuple[int, ...]) -> bytes:
    return json.dumps({"input": payload.values(model, shape).tolist()}).encode()


def _raw_body(model: str, shape: tuple[int, ...]) -> bytes:
    return payload.values(model, shape).tobytes()


def _split(flat: NDArray[np.float32], expected: Arrays) -> Arrays:
    """Takes apart the one array that HTTP servers answer with."""
    arrays: Arrays = []
    for like in expected:
        arrays.append(flat[: like.size].astype(like.dtype).reshape(like.shape))
        flat = flat[like.size :]
    return arrays


def _raw_answer(body: bytes, expected: Arrays) -> Arrays:
    return _split(np.frombuffer(body, np.float32), expected)


def _json_answer(body: bytes, expected: Arrays) -> Arrays:
    return _split(np.array(json.loads(body), np.float32).ravel(), expected)


RAW = ("content-type: application/octet-stream",)
JSON = ("content-type: application/json",)
GRPC = Wire(INFER, payload.message, _grpc_answer)


@dataclass(frozen=True)
class Peer:
    """One server to compare with."""

    name: str  # the folder's
    title: str
    wire: Wire
    settings: str  # in words, for the table
    environment: Mapping[str, str] = field(default_factory=dict)

    def install(self) -> Path:
        """Returns the Python of its environment. Errors: Unavailable."""
        folder = ROOT / "build" / "peers" / self.name
        return environment.install(HERE / self.name / "requirements.txt", folder)

    def start(self, python: Path, model: Path, folder: Path) -> tuple[Tree, str]:
        """Starts it with this model and returns it with the address that it will answer at."""
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        server = HERE / self.name / "server.py"
        command = [str(python), str(server), str(model), str(port), str(folder)]
        variables = {"PYTHONPATH": f"{HERE / 'shared'}:{ROOT / 'src'}", **self.environment}
        return Tree(command, folder / "log", SERVER_CORE, variables), f"127.0.0.1:{port}"


PEERS = {
    peer.name: peer
    for peer in (
        Peer("grpc_aio", "grpc.aio", GRPC, "gRPC; uvloop, no batching"),
        Peer("mlserver", "MLServer", GRPC, "gRPC; adaptive batching, no worker processes"),
        Peer(
            "pytriton",
            "PyTriton",
            GRPC,
            "gRPC; dynamic batching",
            # Its server loads Python as a library: the same that the environment is of.
            {"LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR")},
        ),
        Peer(
            "litserve",
            "LitServe",
            Wire("/predict", _json_body, _raw_answer, JSON, http1=True),
            "HTTP, JSON in, raw bytes out; batching",
            {"PEER_MAX_DELAY_SECONDS": "0.01"},
        ),
        Peer(
            "bentoml",
            "BentoML",
            Wire("/predict", _json_body, _json_answer, JSON, http1=True),
            "HTTP, JSON; adaptive batching",
        ),
        Peer(
            "ray",
            "Ray Serve",
            Wire("/", _raw_body, _raw_answer, RAW, http1=True),
            "HTTP, raw bytes; serve.batch, throughput settings, HAProxy",
            {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"},
        ),
    )
}


def first_answer(peer: Wire, server: Child, address: str, body: bytes) -> bytes:
    """Returns the first answer of a server that is starting. Errors: Unavailable."""
    host, port = address.split(":")
    problem: Exception | None = None
    while time.monotonic() - server.started < START_SECONDS and server.process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=CALL_SECONDS).close()
            return peer.call(address, body)
        except (OSError, grpc.RpcError) as error:
            problem = error
        time.sleep(0.02)
    log = environment.last_lines(server.log.read_text(errors="replace"))
    state = "ended" if server.process.poll() is not None else f"did not answer ({problem})"
    raise Unavailable(f"the server {state}: {log}")


def check(peer: Wire, answer: bytes, expected: Arrays) -> None:
    """Holds an answer against ONNX Runtime's. Errors: Unavailable."""
    found = peer.read(answer, expected)
    if len(found) != len(expected):
        raise Unavailable(f"answered {len(found)} outputs, the model has {len(expected)}")
    for mine, theirs in zip(found, expected, strict=True):
        if mine.shape != theirs.shape or not np.allclose(mine, theirs, rtol=1e-4, atol=1e-5):
            raise Unavailable(f"answered {mine!r}, ONNX Runtime {theirs!r}")


def expected_outputs(name: str, file: Path, shapes: Sequence[tuple[int, ...]]) -> list[Arrays]:
    """Returns what ONNX Runtime answers to the requests of these shapes."""
    model = OnnxModel(str(file))
    return [model.run(payload.values(name, shape)) for shape in shapes]
