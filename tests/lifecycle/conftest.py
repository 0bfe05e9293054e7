"""Models that say which version answered, a stub of the control service, and checked traffic."""

import itertools
import threading
import time

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastserve._proto import fastserve_control_pb2 as control_pb, open_inference_grpc_pb2 as pb
from fastserve._proto.fastserve_control_pb2_grpc import ControlStub
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub


def constant_model(value, *, input_name="x", output_name="version", weight_bytes=0):
    """y[rows, 1] = value for every row of x[rows, 2]; `weight_bytes` more that change nothing."""
    nodes = [
        helper.make_node("ReduceSum", [input_name, "axes"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "value"], [output_name]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1], np.int64), "axes"),
        numpy_helper.from_array(np.array([0], np.float32), "zero"),
        numpy_helper.from_array(np.array([value], np.float32), "value"),
    ]
    if weight_bytes:
        # Looked up at every run, at a place that no optimiser can know.
        table = np.random.default_rng(0).random(weight_bytes // 4, np.float32)
        constants.append(numpy_helper.from_array(table, "table"))
        nodes[-1:] = [
            helper.make_node("Cast", ["nothing"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "place"], ["looked_up"]),
            helper.make_node("Mul", ["looked_up", "zero"], ["none"]),
            helper.make_node("Add", ["none", "value"], [output_name]),
        ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["N", 1])],
        constants,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def put(repository, model, version, data):
    """Writes a version the plain way: a folder, then its file."""
    folder = repository / model / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    return folder


def request(model="m", version="", rows=1, input_name="x"):
    array = np.zeros((rows, 2), np.float32)
    return pb.ModelInferRequest(
        model_name=model,
        model_version=version,
        inputs=[{"name": input_name, "datatype": "FP32", "shape": array.shape}],
        raw_input_contents=[array.tobytes()],
    )


def answered_by(response):
    """The version that every row of the answer says, and that the answer's header says."""
    (value,) = set(np.frombuffer(response.raw_output_contents[0], np.float32).tolist())
    assert int(value) == int(response.model_version)
    return int(value)


class Operator:
    """A connection of somebody who both infers and operates."""

    def __init__(self, server):
        self.channel = grpc.insecure_channel(server.grpc)
        self.control = ControlStub(self.channel)
        self.inference = GRPCInferenceServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def version(self, model="m", version="", **changes):
        return answered_by(
            self.inference.ModelInfer(request(model, version, **changes), timeout=30)
        )

    def load(self, model="m", version=0, **changes):
        message = control_pb.LoadModelRequest(model=model, version=version, **changes)
        return list(self.control.LoadModel(message, timeout=60))

    def unload(self, model="m", version=0, **changes):
        message = control_pb.UnloadModelRequest(model=model, version=version, **changes)
        return list(self.control.UnloadModel(message, timeout=60).versions)

    def reload(self, model="m"):
        return list(
            self.control.ReloadModel(control_pb.ReloadModelRequest(model=model), timeout=60)
        )

    def describe(self, model="m"):
        return self.control.DescribeModel(control_pb.DescribeModelRequest(model=model), timeout=30)

    def states(self, model="m"):
        return {each.number: each.state for each in self.describe(model).versions}

    def serving(self, model="m"):
        return [each.number for each in self.describe(model).versions if each.is_serving]

    def wait(self, model="m", version=0, state="READY", seconds=30):
        message = control_pb.WaitModelRequest(model=model, version=version, state=state)
        return list(self.control.WaitModel(message, timeout=seconds))

    def wait_until(self, condition, seconds=30):
        """Asks again and again; for what no event tells."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so after {seconds} s"


class SteadyTraffic:
    """Threads that ask all the time and check every answer against what may answer.

    `floor` is the lowest version that a request which starts now may be answered by.
    """

    def __init__(self, server, model="m", threads=2):
        self.floor = 0
        self.answers = 0
        self.problems = []
        self._server = server
        self._model = model
        self._is_over = False
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers):
        """Until so many more answers came."""
        target = self.answers + answers
        while self.answers < target and not self.problems:
            time.sleep(0.001)

    def _run(self, seed):
        rows = itertools.cycle([1, 3, 2 + seed])
        with grpc.insecure_channel(self._server.grpc) as channel:
            stub = GRPCInferenceServiceStub(channel)
            while not self._is_over:
                floor = self.floor
                try:
                    response = stub.ModelInfer(request(self._model, rows=next(rows)), timeout=30)
                    version = answered_by(response)
                except (grpc.RpcError, AssertionError, ValueError) as error:
                    self.problems.append(repr(error))
                    return
                with self._lock:
                    self.answers += 1
                if version < floor:
                    self.problems.append(f"version {version} after {floor} was loaded")


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    put(root, "m", 1, constant_model(1))
    return root


@pytest.fixture
def operator_of():
    """A function `(server) -> Operator`; each is closed at the end."""
    opened = []

    def connect(server):
        opened.append(Operator(server))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()
