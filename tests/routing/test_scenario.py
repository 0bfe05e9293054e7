"""A new version under live traffic: a good one is promoted, a broken one leaves by itself."""

import threading
import time

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sklearn.datasets import load_breast_cancer

from fastserve.client import Client, ControlClient, RolloutClient

MODEL = "breast_cancer"
SECONDS = 60
REAL = load_breast_cancer().data.astype(np.float32)


def with_columns_in_another_order(model):
    """The same model behind a pipeline that mixes its features up: right shapes, wrong answers."""
    graph = onnx.load_from_string(model)
    (name,) = (each.name for each in graph.graph.input)
    for node in graph.graph.node:
        node.input[:] = [f"{name}.mixed" if each == name else each for each in node.input]
    order = np.roll(np.arange(REAL.shape[1], dtype=np.int64), 7)
    graph.graph.initializer.append(numpy_helper.from_array(order, "order"))
    gather = helper.make_node("Gather", [name, "order"], [f"{name}.mixed"], axis=1)
    graph.graph.node.insert(0, gather)
    return graph.SerializeToString()


def retrained(model):
    """Other bytes, the same answers."""
    graph = onnx.load_from_string(model)
    graph.producer_version = "a new training run"
    return graph.SerializeToString()


class Load:
    """Calls without a version, as fast as two clients can, each answer counted by its version."""

    def __init__(self, target, tensor):
        self._target, self._tensor = target, tensor
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self.failures = []
        self.answers = {}
        self._threads = [threading.Thread(target=self._call, args=(seed,)) for seed in range(2)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, seed):
        chance = np.random.default_rng(seed)
        with Client(self._target) as client:
            while not self._is_over.is_set():
                rows = REAL[chance.integers(0, len(REAL), 8)]
                try:
                    version = client.infer(MODEL, {self._tensor: rows}, timeout=10).version
                except Exception as error:  # noqa: BLE001 - counted: none may fail
                    self.failures.append(repr(error))
                    return
                with self._lock:
                    self.answers[version] = self.answers.get(version, 0) + 1


@pytest.fixture
def served(start_server, demo_models, tmp_path):
    """A server whose windows last a second, its model, what makes version 2 of bytes, its input."""
    repository = tmp_path / "repository"
    model = (demo_models.repository / MODEL / "1" / "model.onnx").read_bytes()

    def publish(number, data):
        (repository / MODEL / str(number)).mkdir(parents=True)
        (repository / MODEL / str(number) / "model.onnx").write_bytes(data)

    publish(1, model)
    settings = tmp_path / "fastserve.toml"
    settings.write_text(
        f'repository = "{repository}"\n[drift]\nbase_seconds = 1\nwindow_seconds = 60\n'
    )
    server = start_server(None, "--config", settings)

    def stand_by(data):
        publish(2, data)
        with ControlClient(server.grpc, timeout=60) as control:
            for _ in control.load_model(MODEL, version=2, standby=True):
                pass

    return server, model, stand_by, demo_models.held_out(MODEL).input_name


def ended(client):
    """The rollout once it is over."""
    deadline = time.monotonic() + SECONDS
    while True:
        (rollout,) = client.status(MODEL)
        if rollout["state"] in {"promoted", "rolled_back", "failed"}:
            return rollout
        guards = rollout.get("judgement", {}).get("guards", ())
        assert time.monotonic() < deadline, [rollout.get("judgement", {}).get("awaited"), *guards]
        time.sleep(0.2)  # another process judges, and tells nobody


def rollout(**step):
    return {
        "baseline": 1,
        "candidate": 2,
        "steps": [{"min_requests": 300, "min_seconds": 5, **step}],
        "guards": {"latency": {"quantiles": [0.5]}},
    }


def test_good_version_is_promoted_and_no_call_fails(served):
    server, model, stand_by, tensor = served
    stand_by(retrained(model))
    with RolloutClient(server.grpc) as client, Load(server.grpc, tensor) as load:
        client.start(MODEL, rollout(weight=0.5), reason="retrained")
        assert ended(client)["state"] == "promoted"
        history = client.history(MODEL)
        with load._lock:
            load.answers.clear()
        with Client(server.grpc) as one:
            assert one.infer(MODEL, {tensor: REAL[:1]}).version == "2"
    assert load.failures == []
    assert set(load.answers) <= {"1", "2"}
    assert history[-1]["actor"] == "judge"


def test_version_with_mixed_up_features_is_rolled_back_without_a_label_and_no_call_fails(served):
    server, model, stand_by, tensor = served
    stand_by(with_columns_in_another_order(model))
    with RolloutClient(server.grpc) as client, Load(server.grpc, tensor) as load:
        client.start(MODEL, rollout(weight=0.5), reason="new pipeline")
        over = ended(client)
        assert over["state"] == "rolled_back"
        last = client.history(MODEL)[-1]
        with Client(server.grpc) as one:
            for _ in range(20):
                assert one.infer(MODEL, {tensor: REAL[:1]}).version == "1"
    assert load.failures == []
    assert last["actor"] == "judge"
    assert any(guard["verdict"] == "fail" for guard in last["guards"]), last
