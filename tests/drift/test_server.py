"""A real server over real models: rows go in, alarms come out; profiles survive a restart."""

import json
import time

import msgspec
import numpy as np
import pytest

from fastserve._core import core
from fastserve.client import Client, ControlClient, WatchClient
from fastserve.drift.profile import Origin, encode_profile, make_profile
from fastserve.drift.signature import schema_of
from fastserve.errors import ArtifactCorrupt, InvalidTensor, ModelNotFound
from fastserve.models.version_profile import write_profile
from tests.drift.conftest import SIGNATURE, mean_model

ALARM_SECONDS = 30


def profile_of(rows, answers, signature=SIGNATURE):
    sketch = core.TableSketch(schema_of(signature))
    sketch.add(0, len(rows), np.ascontiguousarray(rows).tobytes())
    sketch.add(1, len(rows), np.ascontiguousarray(answers).tobytes())
    return encode_profile(make_profile(signature, sketch, Origin(kind="data", source="t.csv")))


@pytest.fixture
def profile(normal_rows):
    rows = normal_rows(20_000)
    return profile_of(rows, rows.mean(axis=1, keepdims=True))


@pytest.fixture
def serve(start_server, repository, tmp_path, monkeypatch):
    """Starts a server that judges every second; the command line asks it."""
    file = tmp_path / "fastserve.toml"
    file.write_text(
        f'repository = "{repository}"\n'
        "[drift]\nbase_seconds = 1\nwindow_seconds = 1\nminimum_rows = 500\n"
    )

    def serve():
        server = start_server(None, "--config", file)
        monkeypatch.setenv("FASTSERVE_ENDPOINT", server.grpc)
        return server

    return serve


def send(server, rows, version=""):
    with Client(server.grpc) as client:
        for start in range(0, len(rows), 2000):
            client.infer("m", {"x": rows[start : start + 2000]}, version=version)


def send_until(server, event, rows):
    """Sends rows again and again until the server logs the event: a window may cut them in two."""
    deadline = time.monotonic() + ALARM_SECONDS
    while not any(line["event"] == event for line in server.logs):
        assert time.monotonic() < deadline, server.said()
        send(server, rows)
    return next(line for line in server.logs if line["event"] == event)


@pytest.fixture
def alarmed(serve, repository, profile, normal_rows):
    """A server on which the alarm of x[7] stands."""
    write_profile(repository / "m" / "1", profile)
    server = serve()
    line = send_until(server, "alarm.raise", normal_rows(10_000, {7: 0.25}))
    assert (line["model"], line["version"], line["subject"]) == ("m", 1, "x[7]")
    return server


def test_alarm_is_listed_audited_and_shown(alarmed, fastserve):
    with WatchClient(alarmed.grpc) as watch:
        (alarm,) = watch.list_alarms("m")["standing"]
        assert (alarm["kind"], alarm["subject"], alarm["is_raised"]) == ("drift", "x[7]", True)
        assert alarm["evidence"]["measure"] == "ks"
        assert watch.list_alarms("other") == {"standing": [], "recent": []}
    with ControlClient(alarmed.grpc) as control:
        actions = [json.loads(line)["action"] for line in control.show_audit(model="m")]
    assert "alarm.raise" in actions

    shown = fastserve("drift", "show", "m")
    assert shown.code == 0, shown.err
    assert "m/1: profile of 20000 rows, from t.csv" in shown.out
    first = next(line for line in shown.out.splitlines() if line.startswith("x["))
    assert first.startswith("x[7]")
    assert "ALARM" in first
    assert "reference |" in shown.out
    listed = fastserve("drift", "show", "--alarms")
    assert "x[7]" in listed.out
    (version,) = json.loads(fastserve("drift", "show", "m", "--top", "0", "--json").out)
    assert len(version["features"]) == version["feature_count"] == 31
    assert version["is_judged"]
    assert version["features"][0]["scores"]["ks"] > 0.07


def test_features_are_drawn(alarmed, fastserve, tmp_path):
    outcome = fastserve(
        "drift", "plot", "m", "--feature", "x[7]", "--output", tmp_path / "pictures"
    )
    assert outcome.code == 0, outcome.err
    (picture,) = (tmp_path / "pictures").iterdir()
    assert picture.name == "m-1-x_7.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    outcome = fastserve(
        *("drift", "plot", "m", "--top", "2", "--format", "svg"),
        *("--output", tmp_path / "svg", "--window", "1h"),
    )
    assert outcome.code == 0, outcome.err
    assert len(list((tmp_path / "svg").glob("*.svg"))) == 2


def test_frozen_rows_are_the_profile_after_a_restart(serve, fastserve, normal_rows):
    server = serve()
    outcome = fastserve("drift", "freeze", "m", "--rows", "5000")
    assert outcome.out == "m/1: no profile; freezing 0 of 5000 rows\n"
    send(server, normal_rows(6000))
    with WatchClient(server.grpc) as watch:
        (version,) = watch.show_drift("m")
    assert version["profile"]["rows"] == 6000
    server.stop()

    again = serve()
    with WatchClient(again.grpc) as watch:
        (version,) = watch.show_drift("m")
        assert (version["profile"]["rows"], version["profile"]["origin"]) == (6000, "freeze")
    line = send_until(again, "alarm.raise", normal_rows(10_000, {3: 1.0}))
    assert line["subject"] in {"x[3]", "y"}
    assert fastserve("drift", "freeze", "m", "--forget").out == "m/1: no profile\n"


def test_profile_is_made_on_the_server_that_is_asked(serve, fastserve, normal_rows, tmp_path):
    server = serve()
    np.savez(tmp_path / "train.npz", x=normal_rows(3000))
    outcome = fastserve("drift", "profile", "m", "--data", tmp_path / "train.npz")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"3000 rows, 31 features -> m/1 on {server.grpc}")
    with WatchClient(server.grpc) as watch:
        (version,) = watch.show_drift("m")
        assert version["profile"]["rows"] == 3000
        assert version["profile"]["has_outputs"]
        with pytest.raises(ArtifactCorrupt, match="does not begin with the line of a profile"):
            watch.put_profile("m", b"nonsense")
        with pytest.raises(ModelNotFound):
            watch.freeze_profile("other", rows=10)


def test_versions_are_held_against_each_other(serve, repository, fastserve, normal_rows):
    (repository / "m" / "2").mkdir()
    (repository / "m" / "2" / "model.onnx").write_bytes(mean_model())
    (repository / "m" / "model.toml").write_text("[versions]\nall = true\n")
    server = serve()
    send(server, normal_rows(4000), "1")
    outcome = fastserve("drift", "freeze", "m", "--version", "2", "--from-version", "1")
    assert outcome.out == "m/2: profile of 4000 rows, from live rows of m/1\n"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('[features."x[30]"]\nmin = 0\n', "features.x[30]: no such feature; did you mean 'x[3]'?"),
        ('[features."x[0]"]\ncategories = ["a"]\n', "features.x[0]: categories: the feature is a"),
        ("[features.y]\nmax = 1\nmin = 2\n", "features.y.min: 2 lies above max, 1"),
        ("[drift]\nks_rise = 0.1\n", "drift.ks_rise: no such key; did you mean 'ks_raise'?"),
    ],
)
def test_model_toml_that_cannot_be_fails_the_load(serve, repository, fastserve, settings, reason):
    (repository / "m" / "model.toml").write_text(settings)
    serve()
    assert reason in fastserve("model", "list").out


def test_profile_of_other_tensors_fails_the_load_and_says_what_differs(
    serve, repository, fastserve, normal_rows
):
    narrow = (msgspec.structs.replace(SIGNATURE[0], elements=29), SIGNATURE[1])
    rows = normal_rows(100)
    write_profile(repository / "m" / "1", profile_of(rows[:, :29], rows[:, :1], narrow))
    serve()
    listed = fastserve("model", "list").out
    assert "reference.profile: is a profile of another signature: has input 'x' FP32, 29" in listed
    assert "expected FP32, 30 a row" in listed


def test_enforced_contract_refuses_the_row_and_names_the_feature(
    serve, repository, fastserve, normal_rows
):
    (repository / "m" / "model.toml").write_text(
        '[contract]\nenforce = true\n[features."x[4]"]\nmin = -10\nmax = 10\nmissing = 0\n'
    )
    server = serve()
    rows = normal_rows(600)
    with Client(server.grpc) as client:
        client.infer("m", {"x": rows})
        for value, words in ((11, ("11", "-10", "10")), (np.nan, ("missing",))):
            rows[3, 4] = value
            with pytest.raises(InvalidTensor) as error:
                client.infer("m", {"x": rows})
            assert "x[4]" in error.value.message
            assert all(word in error.value.message for word in words)
    with WatchClient(server.grpc) as watch:
        (version,) = watch.show_drift("m", window_seconds=3600)
    assert version["window"]["rows"] == 600


def test_contract_that_is_not_enforced_answers_counts_and_alarms(serve, repository, normal_rows):
    (repository / "m" / "model.toml").write_text('[features."x[4]"]\nmax = 10\n')
    server = serve()
    rows = normal_rows(20)
    rows[3:5, 4] = 11
    line = send_until(server, "alarm.raise", rows)
    assert (line["kind"], line["subject"]) == ("contract", "x[4]:range")
    with WatchClient(server.grpc) as watch:
        alarms = watch.list_alarms("m", history=True)
    raised = next(alarm for alarm in alarms["recent"] if alarm["is_raised"])
    assert raised["evidence"]["is_exact"] == 1
    assert raised["evidence"]["rows"] * 10 == raised["window"]["rows"]
