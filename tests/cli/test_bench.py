"""`fastserve bench` against real servers."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from fastserve.bench.plan import Payload, Plan, Target
from fastserve.bench.watch import run_load
from fastserve.client import Client, InferRequest


@pytest.fixture
def endpoint(demo_server, monkeypatch):
    monkeypatch.setenv("FASTSERVE_ENDPOINT", demo_server.grpc)
    return demo_server.grpc


def succeeded(endpoint, model):
    with Client(endpoint) as client:
        return sum(
            entry["inference_stats"]["success"]["count"] for entry in client.model_statistics(model)
        )


def test_counts_are_those_of_the_server(endpoint, demo_models, fastserve):
    models = demo_models.names[:2]
    before = [succeeded(endpoint, model) for model in models]
    outcome = fastserve(
        *("bench", *models, "--requests", 2001, "--in-flight", 8, "--threads", 2),
        *("--warm-up", 0, "--json", "--max-error-rate", 0),
    )
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    gained = [succeeded(endpoint, m) - count for m, count in zip(models, before, strict=True)]
    assert report["sent"] == report["measured"] == sum(gained) == 2001
    assert [report["models"][model]["statuses"] for model in models] == [{"OK": n} for n in gained]
    assert [report["server"][model]["succeeded"] for model in models] == gained
    assert report["errors"] == 0
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99.99"]
    assert sum(count for _, count in report["latency_counts_ms"]) == 2001


def test_open_loop_counts_a_stall_from_when_requests_were_due(start_server, demo_models):
    """Of coordinated omission: a client that waits with the server would count one slow call."""
    server = start_server(demo_models.repository)
    held = demo_models.held_out("digits")
    request = InferRequest(model="digits", inputs={held.input_name: held.rows[:1]})
    payload = Payload("digits", request.serialize())
    stopped = threading.Event()

    def stall(now, _ticks):
        if not stopped.is_set() and now.sent > 20:
            stopped.set()
            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(0.4)  # the stall itself
            os.kill(server.pid, signal.SIGCONT)

    plan = Plan(
        connections=2,
        in_flight=4,
        requests_per_second=400,
        is_poisson=False,
        max_requests=800,
        drain_seconds=60,
    )
    result = run_load(Target(server.grpc), [payload], plan, on_tick=stall)
    assert stopped.is_set()
    assert result.statuses == {"digits": {"OK": 800}}
    # 160 were due while the server stood still; half of them waited for more than half of it.
    assert result.latency.percentile(99) > 0.3e9
    assert result.latency.count * result.latency.share_above(0.2e9) > 60


def test_data_payload_files_and_headers_are_sent(endpoint, demo_models, fastserve, tmp_path):
    held = demo_models.held_out("digits")
    np.savez(tmp_path / "rows.npz", **{held.input_name: held.rows[:3]})
    request = InferRequest(model="digits", inputs={held.input_name: held.rows[:2]})
    (tmp_path / "request").write_bytes(request.serialize())
    for source in (["--data", tmp_path / "rows.npz"], ["--payload", tmp_path / "request"]):
        outcome = fastserve(
            *("bench", "digits", *source, "--requests", 10, "--warm-up", 0, "--json"),
            *("--header", "X-Team: load", "--html", tmp_path / "report.html"),
        )
        assert outcome.code == 0, outcome.err
        report = json.loads(outcome.out)
        rows = 3 if source[0] == "--data" else 2
        assert report["models"]["digits"]["statuses"] == {"OK": 10}
        assert report["server"]["digits"]["rows"] == 10 * rows
    assert "digits" in (tmp_path / "report.html").read_text()


def test_errors_are_counted_by_status_with_their_message(endpoint, fastserve, tmp_path):
    request = InferRequest(model="nosuch", inputs={"x": np.zeros((1, 2), np.float32)})
    (tmp_path / "request").write_bytes(request.serialize())
    arguments = ("bench", "nosuch", "--payload", tmp_path / "request", "--requests", 20)
    outcome = fastserve(*arguments, "--warm-up", 0)
    assert outcome.code == 0, outcome.err
    assert "20 failed (100.000%)" in outcome.out
    assert "NOT_FOUND" in outcome.out
    assert "'nosuch'" in outcome.out
    outcome = fastserve(*arguments, "--warm-up", 0, "--max-error-rate", 0.5)
    assert outcome.code == 1
    assert "100.000% of the requests failed, expected at most 50.000%" in outcome.err


def test_deadlines_are_counted(endpoint, fastserve):
    outcome = fastserve(
        *("bench", "digits", "--requests", 50, "--deadline", 0.001, "--warm-up", 0, "--json")
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["models"]["digits"]["statuses"] == {"DEADLINE_EXCEEDED": 50}


def test_unknown_model_and_refused_connection_end_it(endpoint, fastserve, free_port):
    outcome = fastserve("bench", "nosuch", "--requests", 1)
    assert outcome.code == 1
    assert "nosuch" in outcome.err
    nobody = f"127.0.0.1:{free_port()}"
    outcome = fastserve("bench", "digits", "--endpoint", nobody, "--timeout", 2)
    assert outcome.code == 3
    assert nobody in outcome.err


def test_server_that_dies_ends_the_load_with_its_calls_counted(start_server, demo_models):
    server = start_server(demo_models.repository)
    held = demo_models.held_out("digits")
    request = InferRequest(model="digits", inputs={held.input_name: held.rows[:1]})

    def kill(now, _ticks):
        if now.sent and server.process.poll() is None:
            server.kill()

    plan = Plan(connections=2, in_flight=3, seconds=60.0, connect_seconds=0.5)
    payload = Payload("digits", request.serialize())
    result = run_load(Target(server.grpc), [payload], plan, on_tick=kill)
    assert "every connection was lost" in result.failure
    assert result.statuses["digits"]["UNAVAILABLE"] >= 6
    assert sum(result.statuses["digits"].values()) == result.sent


def test_other_servers_of_the_protocol_are_loaded_too(peer, fastserve):
    outcome = fastserve(
        *("bench", "linear", "--requests", 50, "--in-flight", 2, "--warm-up", 0, "--json")
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["models"]["linear"]["statuses"] == {"OK": 50}


def test_comparison_and_sweep_print_their_verdicts(endpoint, fastserve, tmp_path):
    outcome = fastserve(
        *("bench", "digits", "--against", endpoint, "--duration", 0.4, "--rounds", 2, "--json")
    )
    assert outcome.code == 0, outcome.err
    ratio = json.loads(outcome.out)["second_over_first"]["p50"]
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"]
    outcome = fastserve(
        *("bench", "digits", "--sweep", 0.0001, "--duration", 0.05, "--warm-up", 0),
        *("--html", tmp_path / "sweep.html"),
    )
    assert outcome.code == 0, outcome.err
    assert "no rate kept p99 within 0.0001 ms" in outcome.out
    assert "<svg" in (tmp_path / "sweep.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b", "--payload", __file__], "exactly one MODEL"),
        (["a", "--sweep", 5, "--rate", 5], "--sweep chooses"),
        (["a", "--warm-up", "soon"], "expected auto or seconds"),
        (["a", "--rate", "nan"], "is not a finite number"),
        (["a", "--sweep", "inf"], "is not a finite number"),
        (["a", "--header", "nothing"], "expected NAME:VALUE"),
        (["a", "--threads", 9], "at least as many --connections"),
        (["a", "--payload", __file__], "no serialised ModelInferRequest"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, said, endpoint, fastserve):
    outcome = fastserve("bench", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
