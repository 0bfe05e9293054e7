"""The operator's command line against a real server: every verb, for people and for scripts."""

import json
import os
import subprocess
import sys

import pytest

from tests.lifecycle.conftest import constant_model, put


@pytest.fixture
def served(start_server, repository):
    return start_server(repository)


@pytest.fixture
def fastserve(served):
    """Runs a command against the server: `fastserve("model", "list")`."""

    def run(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "fastserve", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"FASTSERVE_ENDPOINT": served.grpc, "FASTSERVE_ACTOR": "ada"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    return run


def test_push_load_label_go_back_and_the_audit_of_it(fastserve, operator_of, served, tmp_path):
    operator = operator_of(served)
    file = tmp_path / "new.onnx"
    file.write_bytes(constant_model(2))
    pushed = json.loads(fastserve("model", "push", "m", file, "--lineage", "commit=2f1c", "--json"))
    assert pushed["version"] == 2
    assert operator.version() == 1
    out = fastserve("model", "load", "m", "--version", 2)
    assert [line.split()[4] for line in out.splitlines()] == [
        *("CHECKING", "LOADING", "WARMING", "READY", "READY")
    ]
    assert "serves" in out.splitlines()[-1]
    assert operator.version() == 2
    assert fastserve("model", "label", "m", "stable", 1) == "m stable: 1\n"
    assert operator.version(version="stable") == 1
    fastserve("model", "load", "m", "--label", "stable")
    assert operator.version() == 1
    assert fastserve("model", "label", "m", "stable", "--remove") == "m stable: removed (was 1)\n"
    assert fastserve("model", "unload", "m", "--version", 2) == "unloaded m 2\n"
    listed = json.loads(fastserve("model", "list", "--json"))
    assert [(each["version"], each["state"]) for each in listed] == [
        ("1", "READY"),
        ("2", "UNLOADED"),
    ]
    lines = fastserve("audit", "show", "--json").splitlines()
    records = [json.loads(line) for line in lines]
    by_operator = [each for each in records if each["origin"] == "operator"]
    assert [each["action"] for each in by_operator] == [
        *("model.push", "model.load", "label.set", "model.load", "label.remove", "model.unload")
    ]
    assert {each["actor"] for each in by_operator} == {"anonymous (ada)"}
    assert (by_operator[1]["before"]["serving"], by_operator[1]["after"]["serving"]) == (1, 2)
    assert "intact" in fastserve("audit", "verify")


def test_push_takes_a_folder_and_can_load(fastserve, operator_of, served, tmp_path):
    folder = tmp_path / "version"
    (folder / "warmup").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(constant_model(7))
    (folder / "warmup" / "one.json").write_text(
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1, 2]]}]}'
    )
    fastserve("model", "push", "m", folder, "--version", 7, "--load")
    assert operator_of(served).version() == 7
    refused = fastserve("model", "push", "m", folder, "--version", 7, code=1)
    assert "m/7 exists already" in refused


def test_push_of_what_is_no_model_writes_it_and_fails_to_load_it(
    fastserve, operator_of, served, tmp_path
):
    file = tmp_path / "no.onnx"
    file.write_bytes(b"no model")
    said = fastserve("model", "push", "m", file, "--load", code=1)
    assert len(said.strip().splitlines()) == 1
    assert operator_of(served).version() == 1


@pytest.mark.parametrize("model", ["../m", ".hidden", "a/b", "", "x" * 300])
def test_push_refuses_names_that_are_none(fastserve, repository, tmp_path, model):
    file = tmp_path / "new.onnx"
    file.write_bytes(constant_model(2))
    before = sorted(path.name for path in repository.parent.iterdir())
    said = fastserve("model", "push", model, file, code=1)
    assert "is not a model name" in said
    assert sorted(path.name for path in repository.parent.iterdir()) == before


def test_check_says_what_a_load_would_say_and_loads_nothing(
    fastserve, operator_of, served, repository
):
    put(repository, "m", 2, constant_model(2))
    assert "m 2: would load" in fastserve("model", "check", "m")
    assert operator_of(served).states() == {1: "READY"}
    put(repository, "m", 3, constant_model(3)[:-30])
    said = fastserve("model", "check", "m", "--version", 3, code=1)
    assert "would not load" in said
    found = json.loads(fastserve("model", "check", "m", "--version", 2, "--json"))
    assert found["inputs"][0]["shape"] == [-1, 2]
    assert found["memory_bytes"] > 0


def test_describe_shows_where_a_version_comes_from(fastserve, repository):
    (repository / "m" / "model.toml").write_text('[lineage]\ndata = "2026-10"\n')
    fastserve("model", "reload", "m")
    out = fastserve("model", "describe", "m")
    assert "policy: the newest version" in out
    assert "  operator sets: ai.onnx 17" in out
    assert "  data: 2026-10" in out
    assert "  digest: " in out


def test_errors_are_one_line_with_the_exit_code(fastserve):
    said = fastserve("model", "load", "absent", code=1)
    assert said == (
        "fastserve: failed to load 'absent': the repository has no model of that name\n"
    )
    assert "has no label 'gold'" in fastserve("model", "label", "m", "gold", "--remove", code=1)
    assert "is the last one" in fastserve("model", "unload", "m", "--version", 1, code=1)
    fastserve("model", "label", "m", "gold", code=2)
    assert "9223372036854775807" in fastserve("model", "load", "m", "--version", 10**23, code=2)
    fastserve("model", "wait", "m", "--state", "GOOD", code=1)


def test_wait_ends_when_the_version_is_ready_and_fails_when_it_failed(fastserve, repository):
    assert "READY" in fastserve("model", "wait", "m")
    put(repository, "m", 2, b"no model")
    fastserve("model", "load", "m", "--version", 2, code=1)
    assert "version 2: " in fastserve("model", "wait", "m", "--version", 2, code=1)


def test_wait_reaches_a_server_that_starts_later(start_server, repository, tmp_path):
    socket = f"unix:{tmp_path}/grpc.sock"
    command = (sys.executable, "-m", "fastserve", "model", "wait", "m", "--endpoint", socket)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        start_server(repository, "--grpc", socket)
        out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert "READY" in out.splitlines()[-1]


def test_wait_says_what_keeps_a_version_when_its_time_is_over(fastserve, repository):
    (repository / "m" / "model.toml").write_text("weights = 2\n")
    put(repository, "m", 2, constant_model(2))
    fastserve("model", "load", "m", "--version", 2, code=1)
    out = fastserve("model", "wait", "m", "--version", 2, "--timeout", 1, code=1)
    assert "m is not READY after 1 s; version 1 is READY; version 2 is NEW: not loaded" in out
