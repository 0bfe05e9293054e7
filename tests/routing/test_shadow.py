"""A candidate beside a real server's model: what it finds, and that it changes no answer."""

import json
import time

import pytest
from classifiers import ROWS, WEIGHTS, write_versions

from fastserve.client import Client, ControlClient, ShadowClient
from fastserve.errors import InvalidRoute, ModelNotFound, VersionFailed
from fastserve.routing.shadow import ShadowEvidence, ShadowSpec

SETTLED_SECONDS = 60


@pytest.fixture(params=["native", "grpcio"])
def server(request, start_server, tmp_path):
    return start_server(write_versions(tmp_path / "models"), "--transport", request.param)


@pytest.fixture
def shadow(server):
    with ShadowClient(server.grpc) as client:
        yield client


def infer(server):
    with Client(server.grpc) as client:
        return client.infer("m", {"x": ROWS}, version="1")["scores"]


def settled(shadow, rows):
    """The report once so many rows were chosen and none of them waits."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < deadline:
        (found,) = shadow.report("m")
        if found["offered"] >= rows and not found["waiting"]:
            assert found["offered"] == found["compared"] + found["dropped"] + found["failed"]
            return found
    raise AssertionError(f"not settled within {SETTLED_SECONDS} s: {found}")


def test_shadow_of_the_same_weights_finds_no_difference(server, shadow):
    before = infer(server)
    shadow.start("m", 2, version=1)
    during = infer(server)
    assert before.tobytes() == during.tobytes()
    found = settled(shadow, len(ROWS))
    (output,) = found["outputs"]
    assert (found["compared"], found["differing"]) == (len(ROWS), 0)
    assert (output["max_absolute"], output["unequal_rows"], output["argmax_flips"]) == (0, 0, 0)
    assert output["mean_correlation"] == pytest.approx(1)
    ended = shadow.stop("m", reason="seen enough")
    assert (ended["is_running"], ended["ended"]) == (False, "seen enough")
    assert infer(server).tobytes() == before.tobytes()
    assert shadow.report("m")[0]["compared"] == len(ROWS)


def test_shadow_with_a_broken_feature_order_reports_flips(server, shadow, fastserve):
    shadow.start("m", 3, version=1)
    live = infer(server)
    found = settled(shadow, len(ROWS))
    (output,) = found["outputs"]
    broken = ROWS[:, [1, 0, 2, 3, 5, 4]] @ WEIGHTS
    flips = int((live.argmax(axis=1) != broken.argmax(axis=1)).sum())
    assert flips > 0
    assert output["argmax_flips"] == flips
    assert found["differing"] >= flips
    worst = output["worst"][0]
    row = worst["row"]
    assert [float(text) for text in worst["live"]] == pytest.approx(live[row].tolist())
    assert worst["difference"] == pytest.approx(output["max_absolute"])

    out = fastserve("shadow", "report", "m", "--endpoint", server.grpc)
    assert f"scores: the highest score changed in {flips} rows" in out
    assert "A ABSOLUTE" in out
    (as_json,) = json.loads(fastserve("shadow", "report", "--json", "--endpoint", server.grpc))
    assert as_json["outputs"][0]["argmax_flips"] == flips


def test_shadow_of_another_signature_is_refused_with_what_differs(shadow):
    with pytest.raises(VersionFailed, match=r"output 'scores' FP32\[-1,4\]"):
        shadow.start("m", 4, version=1)
    with pytest.raises(ModelNotFound, match="has no shadow"):
        shadow.report("m")


def test_shadow_ends_when_its_candidate_is_unloaded(server, shadow):
    shadow.start("m", 2, version=1)
    infer(server)
    with ControlClient(server.grpc) as control:
        assert control.unload_model("m", version=2) == [2]
    (found,) = shadow.report("m")
    assert not found["is_running"]
    assert "not at ready state" in found["ended"] or "version 2" in found["ended"]
    infer(server)


def test_shadow_changes_are_in_the_audit_log(server, shadow):
    shadow.start("m", 2, version=1, share=0.5)
    shadow.stop("m", reason="done")
    with ControlClient(server.grpc) as control:
        found = [json.loads(line) for line in control.show_audit(model="m")]
    records = [record for record in found if record["action"].startswith("shadow.")]
    assert [record["action"] for record in records] == ["shadow.start", "shadow.stop"]
    assert records[0]["target"] == {"model": "m", "version": 2}
    assert records[0]["after"]["share"] == 0.5
    assert records[1]["after"]["reason"] == "done"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidate": 0}, "expected the number of a version"),
        ({"share": 0.0}, "expected above 0 and at most 1"),
        ({"share": float("nan")}, "expected above 0 and at most 1"),
        ({"max_bytes": 0}, "max_bytes 0"),
    ],
)
def test_spec_refuses_what_makes_no_shadow(change, message):
    with pytest.raises(InvalidRoute, match=message):
        ShadowSpec(**({"model": "m", "candidate": 2} | change)).check()


def test_evidence_without_rows_is_no_agreement():
    assert ShadowEvidence(0, 0, 10, 0).mismatch_ratio is None
    assert ShadowEvidence(4, 1, 0, 0).mismatch_ratio == 0.25
