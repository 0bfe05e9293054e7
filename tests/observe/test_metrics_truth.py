"""What clients were told and what the page says are the same numbers, to the unit."""

import random
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from prometheus_client.parser import text_string_to_metric_families

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub

QUIET_SECONDS = 60
# gRPC status -> the reasons that stand for it on the page.
REASONS = {
    "INVALID_ARGUMENT": {"invalid"},
    "RESOURCE_EXHAUSTED": {"queue_full", "overloaded"},
    "DEADLINE_EXCEEDED": {"expired"},
    "CANCELLED": {"cancelled"},
    "INTERNAL": {"execution"},
    "UNAVAILABLE": {"draining"},
}
FOR_EVER = 1 << 40
OUT_OF_RANGE = -1
LATE_US = 200_000


def model():
    """Takes as many turns of a loop as its largest row says; a negative one breaks the run."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("Identity", ["state"], ["state_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, []),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["turns"], keepdims=0),
            helper.make_node("Loop", ["turns", "yes", "nothing"], ["looped"], body=body),
            # Of a table with one place: negative counts from its end, and -2 is out of it.
            helper.make_node("Min", ["x", "zero"], ["negative"]),
            helper.make_node("Add", ["negative", "negative"], ["place"]),
            helper.make_node("Gather", ["table", "place"], ["looked_up"]),
            helper.make_node("Add", ["looked_up", "looped"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["N", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [
            numpy_helper.from_array(np.asarray(1, bool), "yes"),
            numpy_helper.from_array(np.array(0, np.float32), "nothing"),
            numpy_helper.from_array(np.array(0, np.int64), "zero"),
            numpy_helper.from_array(np.array([7], np.float32), "table"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def request(value=1, rows=1, timeout_us=0):
    array = np.full((rows, 1), value, np.int64)
    made = pb.ModelInferRequest(
        model_name="m",
        inputs=[{"name": "x", "datatype": "INT64", "shape": array.shape}],
        raw_input_contents=[array.tobytes()],
    )
    if timeout_us:
        made.parameters["timeout"].int64_param = timeout_us
    return made


def malformed():
    made = request()
    made.raw_input_contents[0] = b"short"
    return made


def page(server):
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, sample.labels.get("reason") or sample.labels.get("le") or "")
            found[key] += sample.value
    return found


def wait_for(server, name, value):
    deadline = time.monotonic() + QUIET_SECONDS
    while (found := page(server)[name, ""]) != value:
        assert time.monotonic() < deadline, f"{name} is {found}, not {value}"


class Client:
    """Counts the statuses that it is told, and the rows that were answered."""

    def __init__(self, channel):
        self.stub = GRPCInferenceServiceStub(channel)
        self.told = Counter()
        self.rows = 0
        self._lock = threading.Lock()

    def send(self, made):
        return self.stub.ModelInfer.future(made, timeout=120)

    def take(self, call):
        code = call.code()  # blocks until there is one
        with self._lock:
            self.told[code.name] += 1
            if code is grpc.StatusCode.OK:
                self.rows += call.result().outputs[0].shape[0]

    def ask(self, made):
        self.take(self.send(made))


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_page_counts_what_clients_were_told(start_server, tmp_path, transport):
    folder = tmp_path / "repository" / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model())
    server = start_server(
        tmp_path / "repository",
        *("--transport", transport, "--executors", "1"),
        env={"FASTSERVE_LIMITS__INLINE_BUDGET_US": "0"},
    )
    before = page(server)
    with grpc.insecure_channel(server.grpc) as channel:
        client = Client(channel)
        mixed = [request(rows=rows) for rows in (1, 2, 3, 4) for _ in range(40)]
        mixed += [malformed() for _ in range(30)] + [request(OUT_OF_RANGE) for _ in range(20)]
        random.Random(1).shuffle(mixed)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(client.ask, mixed))
        assert client.told == {"OK": 160, "INVALID_ARGUMENT": 30, "INTERNAL": 20}

        # One keeps the executor, so that what becomes of the others is for them to say.
        holds = client.send(request(FOR_EVER))
        wait_for(server, "fastserve_in_flight_requests", 1)
        taken_back = [client.send(request()) for _ in range(25)]
        wait_for(server, "fastserve_in_flight_requests", 26)
        for call in taken_back:
            call.cancel()
        for call in taken_back:
            client.take(call)
        wait_for(server, "fastserve_in_flight_requests", 1)
        late = [client.send(request(timeout_us=LATE_US)) for _ in range(15)]
        if transport == "native":
            for call in late:
                client.take(call)
            wait_for(server, "fastserve_in_flight_requests", 1)
            holds.cancel()
        else:
            # This transport has no timer for them: they are found late when an executor is free.
            wait_for(server, "fastserve_in_flight_requests", 16)
            everybody_is_late = time.monotonic() + LATE_US / 1e6
            while time.monotonic() < everybody_is_late:
                page(server)
            holds.cancel()
            for call in late:
                client.take(call)
        client.take(holds)
        wait_for(server, "fastserve_in_flight_requests", 0)
        client.ask(request(rows=5))
    assert client.told["CANCELLED"] == 26
    assert client.told["DEADLINE_EXCEEDED"] + client.told["RESOURCE_EXHAUSTED"] == 15

    after = page(server)
    after.subtract(before)
    for status, reasons in REASONS.items():
        counted = sum(after["fastserve_failures_total", reason] for reason in reasons)
        assert counted == client.told[status], status
    answered = client.told["OK"]
    assert after["fastserve_requests_total", ""] == answered
    assert after["fastserve_rows_total", ""] == client.rows
    for phase in ("queue", "gather", "compute", "reply", "request"):
        assert after[f"fastserve_{phase}_seconds_count", ""] == answered
        assert after[f"fastserve_{phase}_seconds_bucket", "+Inf"] == answered
