"""The access log of real servers on both transports."""

import json
import resource
from collections import Counter

import grpc
import numpy as np
import pytest

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.observe.access_log import MAX_LINE_BYTES

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
METADATA = "/inference.GRPCInferenceService/ServerMetadata"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"

HOSTILE = {
    "line feeds": 'a\r\n{"event":"call"}\n',
    "terminal": "\x1b[2J\x07\x7f",
    "line separators": "a\u2028b\u2029c\x85d",
    "a megabyte": "x" * (1 << 20),
    "a megabyte of quotes": '"' * (1 << 20),
    "a megabyte of astral characters": "\U0001f600" * (1 << 18),
    "nul": "\x00",
}


def request(rows=1, model="affine", name=""):
    tensor = np.ones((rows, 3), np.float32)
    message = pb.ModelInferRequest(model_name=model, id=name)
    message.inputs.add(name="x", datatype="FP32", shape=tensor.shape)
    message.raw_input_contents.append(tensor.tobytes())
    return message.SerializeToString()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "calls.log"


@pytest.fixture
def start(repository, start_server, transport, file):
    def run(*arguments, **settings):
        given = {"enabled": "true", "file": str(file)} | settings
        environment = {f"FASTSERVE_ACCESS_LOG__{k.upper()}": v for k, v in given.items()}
        return start_server(repository, "--transport", transport, *arguments, env=environment)

    return run


def lines_of(*files):
    """Each line is one JSON object, whatever splits lines, and none is too long."""
    lines = []
    for file in files:
        data = file.read_bytes()
        assert data.isascii()
        assert not data or data.endswith(b"\n")
        text = data.decode("ascii")
        assert text.splitlines() == text.split("\n")[:-1]
        for line in text.splitlines():
            assert len(line) < MAX_LINE_BYTES
            lines.append(json.loads(line))
    return lines


def test_line_says_who_asked_for_what_and_how_it_went(start, file, transport, make_call):
    server = start()
    outcome = make_call(
        server.grpc, INFER, request(rows=2, name="r1"), metadata=(("traceparent", UNSAMPLED),)
    )
    server.stop()
    (line,) = lines_of(file)
    assert line["time"].endswith("Z")
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    seconds = line["seconds"]
    assert list(seconds) == ["receive", "queue", "gather", "compute", "reply", "total"]
    assert all(value >= 0 for value in seconds.values())
    parts = sum(value for name, value in seconds.items() if name != "total")
    assert seconds["total"] == pytest.approx(parts, abs=1e-8)
    del line["time"], line["peer"], line["seconds"]
    assert line == {
        "event": "call",
        "method": INFER,
        "model": "affine",
        "version": 3,
        "id": "r1",
        "trace_id": TRACE,
        "status": "OK",
        "transport": transport,
        "rows": 2,
        "received_bytes": len(request(rows=2, name="r1")),
        "sent_bytes": len(outcome.answers[0]),
    }


def test_lines_equal_what_clients_counted_when_the_share_is_one(start, file, make_call):
    server = start()
    counted = Counter()
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(INFER)
        futures = []
        for i in range(600):
            model = "nobody" if i % 7 == 0 else "affine"
            futures.append(infer.future(request(model=model, name=f"r{i}"), timeout=30))
        for future in futures:
            counted[INFER, future.code().name] += 1
    outcome = make_call(server.grpc, STREAM, *[request(name=f"s{i}") for i in range(50)])
    counted[STREAM, "OK"] += len(outcome.answers)
    for _ in range(3):
        counted[METADATA, make_call(server.grpc, METADATA, b"").code] += 1
    server.stop()
    lines = lines_of(file)
    assert Counter((line["method"], line["status"]) for line in lines) == counted
    ids = [line["id"] for line in lines if line["method"] != METADATA]
    assert len(set(ids)) == len(ids) == 650


def test_share_takes_about_that_part_of_the_calls(start, file):
    server = start(share="0.25")
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(INFER)
        for future in [infer.future(request(), timeout=30) for _ in range(800)]:
            assert future.code() is grpc.StatusCode.OK
    server.stop()
    # Seven standard deviations of a binomial of 800 and 0.25.
    assert 200 - 86 < len(lines_of(file)) < 200 + 86


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_id_makes_one_bounded_line(start, file, make_call, name):
    server = start()
    make_call(server.grpc, INFER, request(name=name))
    make_call(server.grpc, INFER, request(model="nobody" + name[:10_000], name=name))
    server.stop()
    lines = lines_of(file)
    assert len(lines) == 2
    for line in lines:
        assert name.startswith(line["id"])
        assert len(line["id"].encode()) <= 128
        assert line.get("id_is_cut", False) == (len(name.encode()) > 128)


def test_lines_on_stderr_stand_beside_the_servers_own(
    repository, start_server, transport, make_call
):
    server = start_server(
        repository, "--transport", transport, env={"FASTSERVE_ACCESS_LOG__ENABLED": "true"}
    )
    for i in range(20):
        make_call(server.grpc, INFER, request(name=f"r{i}"))
    server.stop()
    calls = [record for record in server.logs if record["event"] == "call"]
    assert [call["id"] for call in calls] == [f"r{i}" for i in range(20)]
    assert server.other_lines == []


def test_lines_name_the_token_and_show_who_was_refused(start, file, make_call, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("first infer secret-secret-1\nsecond operator secret-secret-2\n")
    server = start("--token-file", tokens)
    known = (("authorization", "Bearer secret-secret-2"),)
    make_call(server.grpc, INFER, request(), metadata=known)
    make_call(server.grpc, METADATA, b"", metadata=known)
    make_call(server.grpc, INFER, request())
    make_call(server.grpc, METADATA, b"", metadata=(("authorization", "Bearer wrong"),))
    server.stop()
    lines = lines_of(file)
    assert sorted((line["method"], line["status"], line.get("actor")) for line in lines) == sorted(
        [
            (INFER, "OK", "second"),
            (METADATA, "OK", "second"),
            (INFER, "UNAUTHENTICATED", None),
            (METADATA, "UNAUTHENTICATED", None),
        ],
        key=str,
    )
    assert "secret" not in file.read_text()


def test_file_gives_way_to_the_next_at_its_size_and_the_oldest_goes(start, file, make_call):
    server = start(max_file_bytes="64KiB", kept_files="2")
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(INFER)
        for i in range(1500):
            infer(request(name=f"r{i}"), timeout=30)
    server.stop()
    files = [file.with_name("calls.log.2"), file.with_name("calls.log.1"), file]
    assert sorted(path.name for path in file.parent.glob("calls.log*")) == sorted(
        path.name for path in files
    )
    assert all(path.stat().st_size <= 64 * 1024 for path in files)
    ids = [line["id"] for line in lines_of(*files)]
    assert ids == [f"r{i}" for i in range(1500)][-len(ids) :]


def test_full_disk_costs_lines_and_no_call(start, file, make_call):
    server = start()
    make_call(server.grpc, INFER, request(name="before"))
    for _ in range(10_000):
        if b"before" in file.read_bytes():
            break
        make_call(server.grpc, METADATA, b"")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    # No file of the server may grow beyond what this one has and a part of a line.
    size = file.stat().st_size
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
    for _ in range(20):
        assert make_call(server.grpc, INFER, request(name="lost")).code == "OK"
    server.wait_for("lines lost", 30)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
    assert make_call(server.grpc, INFER, request(name="after")).code == "OK"
    server.stop()
    ids = [line["id"] for line in lines_of(file)]
    assert "before" in ids
    assert ids[-1] == "after"


@pytest.mark.parametrize("place", ["missing/calls.log", "."])
def test_server_refuses_to_start_when_the_file_cannot_be_opened(
    repository, tmp_path, place, start_server
):
    environment = {
        "FASTSERVE_ACCESS_LOG__ENABLED": "true",
        "FASTSERVE_ACCESS_LOG__FILE": str(tmp_path / place),
    }
    with pytest.raises(AssertionError, match=r"exit status 2[\s\S]*access_log\.file"):
        start_server(repository, env=environment)
