"""The command line against fastserve itself, over the demo's models."""

import json

import numpy as np
import pytest


@pytest.fixture
def endpoint(demo_server, monkeypatch):
    monkeypatch.setenv("FASTSERVE_ENDPOINT", demo_server.grpc)


def test_infer_answers_held_out_rows(demo_models, endpoint, fastserve, tmp_path):
    held = demo_models.held_out("digits")
    rows = held.rows[:5]
    np.savez(tmp_path / "rows.npz", **{held.input_name: rows})
    header = ",".join(f"p{n}" for n in range(rows[0].size))
    np.savetxt(
        tmp_path / "rows.csv", rows.reshape(5, -1), delimiter=",", header=header, comments=""
    )
    answers = []
    for name in ("rows.npz", "rows.csv"):
        outcome = fastserve("infer", "digits", "--data", tmp_path / name, "--json")
        assert outcome.code == 0, outcome.err
        answers.append(json.loads(outcome.out)["outputs"])
    assert answers[0] == answers[1]
    label = next(output for output in answers[0] if output["name"] == "label")
    assert np.ravel(label["data"]).tolist() == held.outputs["label"][:5].ravel().tolist()


def test_list_and_describe_tell_what_is_served(demo_models, endpoint, fastserve):
    listed = json.loads(fastserve("model", "list", "--json").out)
    assert {(entry["name"], entry["state"]) for entry in listed} == {
        (name, "READY") for name in demo_models.names
    }
    outcome = fastserve("model", "describe", "digits")
    assert outcome.code == 0, outcome.err
    assert "image" in outcome.out
    assert "; rows are independent" in outcome.out


def test_plan_explains_every_model(demo_models, fastserve):
    outcome = fastserve("plan", demo_models.repository, "--json")
    assert outcome.code == 0, outcome.err
    plan = json.loads(outcome.out)
    assert plan["threads"]["executors"] >= 1
    assert [model["name"] for model in plan["models"]] == demo_models.names
    for model in plan["models"]:
        assert model["batching"].startswith(("on: ", "off: "))
        assert model["max_rows"] >= 1
    table = fastserve("plan", demo_models.repository).out
    assert all(name in table for name in demo_models.names)


def test_plan_fails_and_says_why_when_a_model_cannot_be_loaded(tmp_path, fastserve):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"")
    outcome = fastserve("plan", tmp_path)
    assert outcome.code == 1
    assert "cannot be loaded: broken/1/model.onnx: is empty" in outcome.out


def test_plan_without_a_repository_shows_threads(fastserve):
    outcome = fastserve("plan")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("threads: ")


def test_plan_reads_settings_as_serve_does(demo_models, fastserve, tmp_path, monkeypatch):
    file = tmp_path / "fastserve.toml"
    file.write_text(
        f'repository = "{demo_models.repository}"\n'
        f'[lifecycle]\nexplicit = true\nload_models = ["{demo_models.names[0]}"]\n'
        "[threads]\nexecutors = 3\nio_threads = 2\n[limits]\nmax_model_bytes = 10\n"
    )
    monkeypatch.setenv("FASTSERVE_THREADS__IO_THREADS", "3")
    monkeypatch.chdir(tmp_path)
    outcome = fastserve("plan", "--json")
    plan = json.loads(outcome.out)
    assert (plan["threads"]["executors"], plan["threads"]["io_threads"]) == (3, 3)
    (model,) = plan["models"]
    assert model["name"] == demo_models.names[0]
    assert model["problem"].endswith("the limit of 10")
    assert outcome.code == 1
    plan = json.loads(fastserve("plan", "--io-threads", 1, "--config", file, "--json").out)
    assert plan["threads"]["io_threads"] == 1


def test_plan_refuses_settings_that_serve_refuses(fastserve, tmp_path):
    file = tmp_path / "other.toml"
    file.write_text("[threads]\nexecutor = 3\n")
    outcome = fastserve("plan", "--config", file)
    assert outcome.code == 2
    assert "did you mean 'executors'" in outcome.err
