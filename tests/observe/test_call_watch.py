"""What of tracing and the access log does not need a server: metrics, lines, files."""

import json
import os

import pytest

from fastserve._core import core
from fastserve.config import AccessLogSettings, TracingSettings
from fastserve.errors import InvalidConfig
from fastserve.observe.access_log import MAX_LINE_BYTES, AccessLog
from fastserve.observe.actor_names import ActorNames
from fastserve.observe.call_watch import CallWatch
from fastserve.observe.rotating_file import RotatingFile

INFER = "/inference.GRPCInferenceService/ModelInfer"


def record(**fields):
    given = dict.fromkeys(core.CallRecord._fields, 0) | {
        "path": INFER, "model": "m", "id": "", "peer": "ipv4:127.0.0.1:5", "token": -1,
        "trace_state": "", "is_id_cut": False, "is_traced": False, "is_logged": True,
        "begun_ns": 1_000, "answered_ns": 5_000,
    }  # fmt: skip
    return core.CallRecord(**given | fields)


def watch(**access_log):
    return CallWatch(
        TracingSettings(), AccessLogSettings(**access_log), transport="native", actors=["ci"]
    )


def counts(families):
    return {
        (family.name, labels.get("outcome")): value
        for family in families
        for labels, value in family.samples
    }


def test_metrics_say_what_became_of_lines_and_of_wrong_contexts(tmp_path):
    file = tmp_path / "calls.log"
    watched = watch(enabled=True, file=file)
    watched.start()
    before = watched.metrics.stamp
    watched.log.sample("nonsense")
    watched.feed.put(record())
    watched.feed.put(record(is_logged=False))
    watched.close()
    assert len(file.read_text().splitlines()) == 1
    assert watched.metrics.stamp != before
    families = list(watched.metrics.families())
    assert {family.type for family in families} == {"counter"}
    assert counts(families) == {
        ("fastserve_access_log_lines_total", "written"): 1,
        ("fastserve_access_log_lines_total", "failed"): 0,
        ("fastserve_access_log_lines_total", "dropped"): 0,
        ("fastserve_trace_context_invalid_total", None): 1,
    }


def test_nothing_is_fed_and_no_thread_runs_when_all_is_off():
    watched = watch()
    assert watched.feed is None
    watched.start()
    watched.close()
    assert counts(watched.metrics.families()) == {
        ("fastserve_trace_context_invalid_total", None): 0
    }


def test_line_of_a_refused_call_has_no_phases_that_it_did_not_come_to(tmp_path):
    log = AccessLog(
        AccessLogSettings(enabled=True, file=tmp_path / "calls.log"),
        transport="t",
        actors=ActorNames(["ci"]),
    )
    line = json.loads(log.line(record(code=8, received_ns=2_000, token=1 << 16), 0))
    log.close()
    assert line["status"] == "RESOURCE_EXHAUSTED"
    assert line["actor"] == "ci"
    assert line["seconds"] == {"receive": 1e-6, "total": 4e-6}


def test_longest_line_fits_into_a_pipe_at_once(tmp_path):
    log = AccessLog(
        AccessLogSettings(enabled=True, file=tmp_path / "calls.log"),
        transport="native",
        actors=ActorNames(["a" * 64]),
    )
    worst = record(
        path="\x01" * 96, model="\x01" * 64, id="\x01" * 128, peer="\x01" * 64, token=1 << 16,
        version=2**63 - 1, trace_id=2**128 - 1, span_id=2**64 - 1, is_id_cut=True, rows=2**32 - 1,
        received_bytes=2**64 - 1, sent_bytes=2**64 - 1, received_ns=2_000, started_ns=3_000,
        gathered_ns=4_000, computed_ns=4_500, answered_ns=2**62,
    )  # fmt: skip
    assert len(log.line(worst, 0)) <= MAX_LINE_BYTES
    log.close()


def test_access_log_refuses_a_pipe_and_a_link_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("pipe", "link"):
        with pytest.raises(InvalidConfig, match=f"access_log.file .*{name}"):
            watch(enabled=True, file=tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_rotating_file_goes_on_where_it_was_cut_and_where_it_is_missing(tmp_path):
    path = tmp_path / "calls.log"
    file = RotatingFile(path, max_bytes=10, kept_files=1)
    file.write(b"one\n")
    os.truncate(path, 0)
    file.write(b"two\n")
    assert path.read_bytes() == b"two\n"
    file.close()
    path.unlink()
    file.write(b"three\n")
    file.write(b"four and more\n")
    file.close()
    assert path.read_bytes() == b"four and more\n"
    assert path.with_name("calls.log.1").read_bytes() == b"three\n"


def test_rotating_file_keeps_none_when_told_so(tmp_path):
    path = tmp_path / "calls.log"
    file = RotatingFile(path, max_bytes=10, kept_files=0)
    for line in (b"one two\n", b"three four\n"):
        file.write(line)
    file.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["calls.log"]
    assert path.read_bytes() == b"three four\n"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4317", "grpc://x", "http://", "http://a b"])
def test_tracing_endpoint_without_a_scheme_is_refused(endpoint, tmp_path):
    from fastserve.config import Settings, check_settings

    settings = Settings(repository=tmp_path, tracing=TracingSettings(endpoint=endpoint))
    with pytest.raises(InvalidConfig, match=r"tracing\.endpoint .*http://HOST:PORT"):
        check_settings(settings)


def test_names_of_replaced_tokens_are_known_for_a_while():
    names = ActorNames(["first", "second"])
    old = names.number_of("second")
    names.replace(["second", "third"])
    assert names.name_of(old) == "second"
    assert names.name_of(names.number_of("second")) == "second"
    assert names.number_of("second") != old
    assert names.number_of("first") == -1
    assert names.name_of(-1) is names.name_of(-2) is None
    for _ in range(8):
        names.replace(["third"])
    assert names.name_of(old) is None
