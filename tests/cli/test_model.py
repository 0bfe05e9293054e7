import json


def test_list_shows_states_and_reasons(peer, fastserve):
    outcome = fastserve("model", "list")
    assert outcome.code == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0] == ["MODEL", "VERSION", "STATE", "REASON"]
    assert ["linear", "1", "READY"] in lines
    assert ["broken", "3", "UNAVAILABLE", "model.onnx", "is", "empty"] in lines


def test_list_prints_json_for_scripts(peer, fastserve):
    entries = json.loads(fastserve("model", "list", "--json").out)
    assert {
        "name": "broken", "version": "3", "state": "UNAVAILABLE", "reason": "model.onnx is empty",
    } in entries  # fmt: skip


def test_describe_shows_signature_batching_and_statistics(peer, fastserve):
    outcome = fastserve("model", "describe", "linear")
    assert outcome.code == 0, outcome.err
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "linear (onnxruntime_onnx)" in lines
    assert "input x FP32 [-1, 3]" in lines
    assert "output y FP32 [-1, 2]" in lines
    assert "batching: on, up to 8 rows, waits up to 100 us" in lines
    assert "1 3 0 5 2 2.50 - - 1000" in lines


def test_describe_prints_json_for_scripts(peer, fastserve):
    described = json.loads(fastserve("model", "describe", "linear", "--json").out)
    assert described["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert described["versions"] == [{"version": "1", "state": "READY", "reason": ""}]
    assert described["batching"]["max_rows"] == 8
    assert described["statistics"][0]["inference_count"] == 5


def test_describe_of_an_unknown_model_fails_in_one_line(peer, fastserve):
    outcome = fastserve("model", "describe", "absent")
    assert outcome.code == 1
    assert outcome.err == "fastserve: Request for unknown model: 'absent' is not found\n"


def test_names_of_others_cannot_drive_the_terminal(peer, fastserve):
    peer.sessions["\x1b[31mred"] = peer.sessions["linear"]
    try:
        assert "\x1b" not in fastserve("model", "list").out
    finally:
        del peer.sessions["\x1b[31mred"]
