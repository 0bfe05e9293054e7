"""ShowAudit and VerifyAudit on each transport, through the client of fastserve.v1.Control."""

import json
import threading

import pytest
from audit_server import AuditServer

from fastserve.client import ControlClient, ServerUnreachable
from fastserve.errors import DeadlineExceeded, InvalidTensor
from fastserve.observe.audit_retention import Retention
from fastserve.observe.audit_verification import verify_folder, verify_lines


@pytest.fixture
def audited(tmp_path, transport):
    with AuditServer(tmp_path, transport, segment_bytes=5_000).running() as server:
        yield server


@pytest.fixture
def client(audited):
    with ControlClient(audited.address, timeout=30) as client:
        yield client


def versions(lines):
    return [json.loads(line)["target"]["version"] for line in lines]


def test_show_streams_the_lines_of_the_files(audited, client):
    for number in range(1, 31):
        audited.append(version=number)
    files = sorted(audited.folder.glob("audit-*.jsonl"))
    assert len(files) > 1
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert list(client.show_audit()) == lines
    assert list(client.show_audit(last=7)) == lines[-7:]
    assert verify_lines(client.show_audit()).head == audited.log.head.hash


def test_show_keeps_to_a_model(audited, client):
    for number in range(1, 7):
        audited.append(version=number, model="spam" if number % 2 else "digits")
    assert versions(client.show_audit(model="spam")) == [1, 3, 5]
    assert versions(client.show_audit(model="spam", last=2)) == [3, 5]
    assert list(client.show_audit(model="absent")) == []


def test_show_refuses_a_negative_count(client):
    with pytest.raises(InvalidTensor, match="last is -1, expected a count"):
        list(client.show_audit(last=-1))


def test_follow_goes_on_with_new_records_and_ends_with_a_drain(audited, client):
    audited.append(version=1)
    audited.append(version=2)
    following = client.show_audit(last=1, follow=True)
    assert versions([next(following)]) == [2]
    for number in (3, 4):
        audited.append(version=number)
        assert versions([next(following)]) == [number]
    assert audited.drain()
    assert list(following) == []


def test_follow_misses_nothing_and_repeats_nothing(audited, client):
    """Records come while the stream turns from what is there to what comes."""
    writing = threading.Thread(
        target=lambda: [audited.append(version=number) for number in range(1, 101)]
    )
    writing.start()
    following = client.show_audit(follow=True)
    seen = []
    while not seen or seen[-1] < 100:
        seen += [number for number in versions([next(following)]) if number]
    writing.join()
    following.close()
    assert seen == list(range(1, 101))


def test_follow_ends_with_its_timeout(audited, client):
    audited.append(version=1)
    following = client.show_audit(follow=True, timeout=0.3)
    assert versions([next(following)]) == [1]
    with pytest.raises(DeadlineExceeded):
        next(following)


def test_verify_tells_records_and_head(audited, client):
    assert client.verify_audit() == (True, 0, "0" * 64, "", 1)
    audited.append()
    assert client.verify_audit() == (True, 1, audited.log.head.hash, "", 1)


def test_verify_tells_where_a_shortened_log_begins(tmp_path):
    server = AuditServer(tmp_path, retention=Retention(bytes=3_000), segment_bytes=1_000)
    with server.running(), ControlClient(server.address) as client:
        for _ in range(8):
            server.append()
        verdict = client.verify_audit()
        lines = list(client.show_audit())
    assert verdict.is_intact, verdict.problem
    assert verdict.first == json.loads(lines[0])["seq"] > 1


def test_verify_tells_the_first_problem_with_its_place(audited, client):
    for number in range(3):
        audited.append(version=number)
    path = audited.folder / "audit-000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":7'))
    verdict = client.verify_audit()
    assert not verdict.is_intact
    assert verdict.records == 1
    assert verdict.problem.startswith("audit-000001.jsonl line 2: was changed")
    assert verdict.problem == verify_folder(audited.folder).placed_problem


def test_client_says_what_it_cannot_reach(free_port):
    with (
        ControlClient(f"127.0.0.1:{free_port()}", timeout=30) as client,
        pytest.raises(ServerUnreachable),
    ):
        list(client.show_audit())
