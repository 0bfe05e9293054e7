"""`fastserve audit`: over a server, and on the files themselves."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "rpc"))  # test folders are not packages

from audit_server import AuditServer

from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.observe.audit_retention import Retention

KEY = b"a key of nobody at all"


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """A server with an audit log of three records, at the endpoint that the command line asks."""
    with AuditServer(tmp_path).running() as server:
        server.append(version=1, after={"serving": 1}, reason="first release")
        server.append(version=2, before={"serving": 1}, after={"serving": 2})
        server.append(
            action="model.unload", model="spam", actor="fastserve", origin="automatic",
            outcome="failed", reason="\x1b[31mred",
        )  # fmt: skip
        monkeypatch.setenv("FASTSERVE_ENDPOINT", server.address)
        yield server


@pytest.fixture(params=["server", "folder"])
def where(request, audited):
    """Options that ask the server, or its files."""
    return () if request.param == "server" else ("--folder", audited.folder)


@pytest.fixture
def keyed(tmp_path):
    """The folder of a log that has a key, and the key's file."""

    async def write():
        log = AuditLog.open(tmp_path / "keyed", key=KEY)
        await log.append(AuditEvent(action="model.load", actor="anna", origin="operator"))
        log.close()

    asyncio.run(write())
    (tmp_path / "key").write_bytes(KEY + b"\n")
    return tmp_path / "keyed", tmp_path / "key"


def test_show_prints_a_table_for_people(where, fastserve):
    outcome = fastserve("audit", "show", *where)
    assert outcome.code == 0, outcome.err
    header, *rows = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert header == "SEQ TIME ACTOR ACTION TARGET OUTCOME CHANGE REASON"
    assert [row.split(maxsplit=2)[0] for row in rows] == ["1", "2", "3"]
    assert [row.split(maxsplit=2)[2] for row in rows] == [
        "anna model.load digits/1 ok - -> serving=1 first release",
        "anna model.load digits/2 ok serving=1 -> serving=2",
        "(fastserve) model.unload spam failed ?[31mred",
    ]
    assert "\x1b" not in outcome.out


def test_show_prints_the_stored_lines_as_json(audited, where, fastserve):
    outcome = fastserve("audit", "show", *where, "--json")
    assert outcome.out == (audited.folder / "audit-000001.jsonl").read_text()


def test_show_keeps_to_a_count_and_a_model(where, fastserve):
    for arguments, numbers in (
        (["--last", "1"], [3]),
        (["--last", "0"], [1, 2, 3]),
        (["--model", "digits"], [1, 2]),
        (["--model", "digits", "--last", "1"], [2]),
    ):
        outcome = fastserve("audit", "show", *where, *arguments, "--json")
        assert [json.loads(line)["seq"] for line in outcome.out.splitlines()] == numbers
    assert fastserve("audit", "show", *where, "--model", "absent").out == "no records\n"


def test_follow_prints_new_records_as_they_come(audited):
    command = [sys.executable, "-m", "fastserve", "audit", "show", "--follow", "--last", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as showing:
        assert showing.stdout.readline().split()[:2] == ["SEQ", "TIME"]
        assert showing.stdout.readline().split()[0] == "3"
        audited.append(version=9)
        assert "digits/9" in showing.stdout.readline()
        assert audited.drain()
        assert showing.stdout.readline() == ""
    assert showing.returncode == 0


def test_follow_of_files_is_wrong_usage(audited, fastserve):
    outcome = fastserve("audit", "show", "--folder", audited.folder, "--follow")
    assert outcome.code == 2
    assert "--follow needs a server" in outcome.err


def test_verify_of_an_intact_log_tells_records_and_head(audited, where, fastserve):
    head = audited.log.head.hash
    outcome = fastserve("audit", "verify", *where)
    assert (outcome.code, outcome.out) == (0, f"intact: 3 records, head {head}\n")
    assert json.loads(fastserve("audit", "verify", *where, "--json").out) == {
        "is_intact": True, "records": 3, "first": 1, "head": head, "problem": "", "note": "",
    }  # fmt: skip


def test_verify_says_where_a_shortened_log_begins(tmp_path, fastserve):
    server = AuditServer(tmp_path, retention=Retention(bytes=3_000), segment_bytes=1_000)
    with server.running():
        for _ in range(8):
            server.append()
        told = fastserve("audit", "verify", "--endpoint", server.address)
        # With a noted head the records are sent, and checked where the command runs.
        head = server.log.head.hash
        sent = fastserve("audit", "verify", "--endpoint", server.address, "--expected-head", head)
    read = fastserve("audit", "verify", "--folder", server.folder)
    assert [each.code for each in (told, sent, read)] == [0, 0, 0]
    assert told.out.endswith(read.out)  # behind what the server itself logged
    assert sent.out == read.out
    assert re.fullmatch(
        r"intact: \d+ records, head [0-9a-f]{64}\n"
        r"begins at record \d+: older ones were removed by retention\n",
        read.out,
    )


def test_verify_fails_with_the_place_of_the_first_problem(audited, where, fastserve):
    path = audited.folder / "audit-000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"first release", b"worst release"))
    outcome = fastserve("audit", "verify", *where)
    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        "damaged: audit-000001.jsonl line 1: was changed: its hash does not fit its content",
        f"sound before that: 0 records, head {'0' * 64}",
    ]
    assert not json.loads(fastserve("audit", "verify", *where, "--json").out)["is_intact"]


def test_verify_wants_an_expected_head_among_the_records(audited, where, fastserve):
    noted = audited.log.head.hash
    audited.append(version=4)
    outcome = fastserve("audit", "verify", *where, "--expected-head", noted.upper())
    assert (outcome.code, outcome.err) == (0, "")
    outcome = fastserve("audit", "verify", *where, "--expected-head", "ab" * 32)
    assert outcome.code == 1
    assert f"no record has the expected hash {'ab' * 32}" in outcome.out


def test_verify_with_the_key_checks_who_made_the_records(keyed, fastserve, tmp_path):
    folder, key = keyed
    outcome = fastserve("audit", "verify", "--folder", folder)
    assert outcome.out.splitlines()[1].startswith("not checked: records carry MACs")
    assert fastserve("audit", "verify", "--folder", folder, "--key-file", key).code == 0
    (tmp_path / "other").write_bytes(KEY[::-1])
    outcome = fastserve("audit", "verify", "--folder", folder, "--key-file", tmp_path / "other")
    assert outcome.code == 1
    assert "damaged: head: was not made with this key" in outcome.out


def test_verify_checks_a_servers_records_with_a_key_that_stays_here(
    keyed, tmp_path, fastserve, monkeypatch
):
    _, key = keyed
    (tmp_path / "served").mkdir()
    (tmp_path / "other").write_bytes(KEY[::-1])
    with AuditServer(tmp_path / "served", key=KEY).running() as server:
        server.append()
        monkeypatch.setenv("FASTSERVE_ENDPOINT", server.address)
        assert fastserve("audit", "verify", "--key-file", key).code == 0
        outcome = fastserve("audit", "verify", "--key-file", tmp_path / "other")
    assert outcome.code == 1
    assert (
        "the server's answer line 1: is a record 1 that was not made with this key" in outcome.out
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--expected-head", "abc"], "--expected-head 'abc': expected the 64 hexadecimal digits"),
        (["--folder", "."], "holds no audit log"),
        (["--folder", "/absent"], "does not exist"),
    ],
)
def test_verify_says_in_one_line_what_is_wrong_with_its_options(
    fastserve, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    outcome = fastserve("audit", "verify", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
