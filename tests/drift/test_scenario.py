"""A team's day: real rows, then rows with one feature in other units, and who hears of it."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

sys.path.append(str(Path(__file__).parents[1] / "observe"))  # test folders are not packages

from hook import Hook
from prometheus import Prometheus

from fastserve.client import Client, WatchClient
from fastserve.observe.alert_rules import Thresholds, alert_rules, to_yaml

MODEL = "breast_cancer"
BATCH = 500
SECONDS = 60


@pytest.fixture
def hook():
    hook = Hook()
    yield hook
    hook.close()


REAL = load_breast_cancer().data.astype(np.float32)
CHANCE = np.random.default_rng(7)


def rows(count, feature=0, scale=1.0):
    """So many real rows, each time others, with one feature scaled."""
    drawn = REAL[CHANCE.integers(0, len(REAL), count)]
    drawn[:, feature] *= scale
    return drawn


def test_scaled_feature_is_named_by_alarm_webhook_audit_and_prometheus(
    start_server, demo_models, hook, tmp_path, fastserve
):
    repository = tmp_path / "repository"
    (repository / MODEL / "1").mkdir(parents=True)
    model = (demo_models.repository / MODEL / "1" / "model.onnx").read_bytes()
    (repository / MODEL / "1" / "model.onnx").write_bytes(model)
    tensor = demo_models.held_out(MODEL).input_name
    np.savez(tmp_path / "train.npz", **{tensor: REAL})
    data = tmp_path / "train.npz"
    made = fastserve("drift", "profile", MODEL, "--data", data, "--repository", repository)
    assert made.code == 0, made.err
    settings = tmp_path / "fastserve.toml"
    settings.write_text(
        f'repository = "{repository}"\n'
        "[drift]\nbase_seconds = 1\nwindow_seconds = 2\nminimum_rows = 2000\n"
        f'[[webhooks.targets]]\nurl = "{hook.url}"\nevents = ["drift"]\n'
    )
    (rule,) = (rule for rule in alert_rules(Thresholds()) if rule.alert == "FastserveDrift")
    server = start_server(None, "--config", settings)
    with (
        Client(server.grpc) as client,
        WatchClient(server.grpc) as watch,
        Prometheus(tmp_path / "prometheus", [server.http], to_yaml([rule])) as prometheus,
    ):

        def send(**change):
            for _ in range(4):
                client.infer(MODEL, {tensor: rows(BATCH, **change)})

        def send_until(condition, **change):
            deadline = time.monotonic() + SECONDS
            while not (found := condition()):
                assert time.monotonic() < deadline, server.said()
                send(**change)
            return found

        # Real rows: windows are judged, and nothing is raised.
        send_until(lambda: prometheus.query("fastserve_drift_score"))
        assert watch.list_alarms(MODEL)["standing"] == []
        assert prometheus.firing() == []
        assert hook.requests.empty()

        # The fourth measurement comes in other units.
        scaled = {"feature": 3, "scale": 1.5}
        send_until(lambda: watch.list_alarms(MODEL)["standing"], **scaled)
        subjects = {alarm["subject"] for alarm in watch.list_alarms(MODEL)["standing"]}
        assert {each for each in subjects if each.startswith(tensor)} == {f"{tensor}[3]"}
        firing = send_until(
            lambda: [each for each in prometheus.firing() if each["feature"] == f"{tensor}[3]"],
            **scaled,
        )
        assert firing[0]["alertname"] == "FastserveDrift"
        assert (firing[0]["model"], firing[0]["version"]) == (MODEL, "1")

    payload = None
    while payload is None or payload["subject"] != f"{tensor}[3]":
        _, headers, body = hook.take()
        payload = json.loads(body)["payload"]
        assert headers["Fastserve-Event"] == "drift.raised"
    assert (payload["model"], payload["version"], payload["is_raised"]) == (MODEL, 1, True)
    assert payload["window"]["rows"] >= 2000
    # The first window that stands out may hold rows of before as well.
    assert payload["evidence"]["live_mean"] > payload["evidence"]["reference_mean"]
    audit = fastserve("audit", "show", "--json", "--endpoint", server.grpc).out
    records = [json.loads(line) for line in audit.splitlines()]
    assert any(
        record["action"] == "alarm.raise" and f"{tensor}[3]" in record["reason"]
        for record in records
    )
