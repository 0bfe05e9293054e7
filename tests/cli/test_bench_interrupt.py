"""Ctrl-C during `fastserve bench`."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

from fastserve.client import Client

END_SECONDS = 60
# The tests themselves may run where SIGINT is ignored, which their children inherit.
PROGRAM = """
import signal
import sys
from fastserve.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main(sys.argv[1:])
"""


class Bench:
    """A load in a process of its own, on the demo's digits."""

    def __init__(self, server, *arguments):
        self.server = server
        self.before = self.succeeded()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", PROGRAM, "bench", "digits", "--endpoint", server.grpc),
                *(str(argument) for argument in arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def succeeded(self):
        with Client(self.server.grpc) as client:
            (entry,) = client.model_statistics("digits")
            return entry["inference_stats"]["success"]["count"]

    def await_answers(self, count=100):
        while self.succeeded() < self.before + count:
            assert self.process.poll() is None, self.process.communicate()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self):
        """What it printed."""
        out, err = self.process.communicate(timeout=END_SECONDS)
        assert self.process.returncode == 130, err
        assert not err
        return out


@pytest.fixture
def bench(demo_server):
    started = []

    def start(*arguments, server=demo_server):
        started.append(Bench(server, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


def test_interrupted_load_tells_what_it_measured(bench):
    load = bench("--duration", 600, "--warm-up", 0, "--json")
    load.await_answers()
    load.interrupt()
    report = json.loads(load.end())
    assert report["interrupted"] is True
    assert report["sent"] == report["measured"] >= 100
    assert report["models"]["digits"]["statuses"] == {"OK": report["sent"]}
    assert report["server"]["digits"]["succeeded"] == report["sent"]
    assert report["unanswered"] == 0
    assert report["requests_per_second"] > 0


def test_interrupted_load_says_so_in_its_text(bench):
    load = bench("--duration", 600, "--warm-up", 0)
    load.await_answers()
    load.interrupt()
    lines = load.end().splitlines()
    assert lines[0] == "interrupted; until then:"
    assert "requests/s, measured for" in lines[1]


def test_load_interrupted_within_its_warm_up_has_measured_nothing(bench):
    load = bench("--duration", 1, "--warm-up", 600)
    load.await_answers()
    load.interrupt()
    assert load.end() == "interrupted before anything was measured\n"


def test_interrupted_load_does_not_hang_with_its_server(bench, start_server, demo_models):
    server = start_server(demo_models.repository)
    load = bench(
        *("--duration", 600, "--warm-up", 0, "--connections", 2, "--in-flight", 3, "--json"),
        server=server,
    )
    load.await_answers()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        load.interrupt()
        # Time for it to be heard: two at once would count as one.
        with contextlib.suppress(subprocess.TimeoutExpired):
            load.process.wait(1)
        load.interrupt()
        report = json.loads(load.end())
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert report["interrupted"] is True
    assert report["unanswered"] == 6
    assert report["sent"] == report["measured"] + 6
    assert report["server"] == {}


def test_interrupted_sweep_tells_the_steps_that_were_complete(bench):
    sweep = bench("--sweep", 60_000, "--duration", 0.3, "--warm-up", 0)
    steps = [sweep.process.stdout.readline() for _ in range(2)]
    assert all("offered/s" in step for step in steps)
    sweep.interrupt()
    *_, complete, knee = sweep.end().splitlines()
    assert complete.startswith("interrupted; ")
    assert complete.endswith(" steps were complete")
    assert "p99 within 60000 ms up to " in knee
    assert knee.endswith(" requests/s at least")


def test_interrupted_comparison_tells_the_rounds_that_were_complete(bench, demo_server):
    against = ("--against", demo_server.grpc, "--warm-up", 0)
    comparison = bench(*against, "--duration", 600, "--rounds", 2)
    comparison.await_answers()
    comparison.interrupt()
    assert comparison.end().splitlines() == [
        "interrupted; 0 rounds of both were complete",
        "too few to compare: at least 2 are needed",
    ]
    comparison = bench(*against, "--duration", 600, "--rounds", 3000, "--json")
    comparison.await_answers(3000)
    comparison.interrupt()
    report = json.loads(comparison.end())
    assert report["interrupted"] is True
    assert report["rounds"] < 3000
    assert len(report["first"]["requests_per_second"]) == report["rounds"]
    assert len(report["second"]["requests_per_second"]) == report["rounds"]
