"""The audit log as the server uses it: order, durability, followers, failures that stop nothing."""

import asyncio
import io
import json
import re
import threading
from itertools import pairwise

import pytest
import structlog

from fastserve.errors import ArtifactCorrupt, InvalidConfig
from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.observe.audit_record import CHECKPOINT, GENESIS, REPAIRED
from fastserve.observe.audit_verification import verify_folder
from fastserve.observe.logs import configure_logs

KEY = b"a key of nobody at all"


def event(number=1, **fields):
    given = {"action": "model.load", "actor": "anna", "origin": "operator", "model": "digits"}
    return AuditEvent(**given | {"version": number} | fields)


@pytest.fixture
def logged():
    """The structured log's lines of the test so far."""
    stream = io.StringIO()
    configure_logs(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


@pytest.fixture
def open_log(tmp_path, logged):
    opened = []

    def open_one(folder=tmp_path / "audit", **options):
        opened.append(AuditLog.open(folder, **options))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


def records(log, **options):
    return [json.loads(line) for line in log.read(**options)]


async def test_record_says_who_did_what_to_what_and_why(open_log):
    log = open_log(clock=lambda: 1_780_000_000.25)
    await log.append(
        event(
            7, peer="ipv4:10.0.0.7:50312", before={"serving": 6}, after={"serving": 7},
            reason="release of May", outcome="ok",
        )
    )  # fmt: skip
    (record,) = records(log)
    assert record == {
        "seq": 1,
        "time": "2026-05-28T20:26:40.250Z",
        "actor": "anna",
        "origin": "operator",
        "peer": "ipv4:10.0.0.7:50312",
        "action": "model.load",
        "target": {"model": "digits", "version": 7},
        "before": {"serving": 6},
        "after": {"serving": 7},
        "reason": "release of May",
        "outcome": "ok",
        "prev": GENESIS,
        "hash": log.head.hash,
    }


async def test_record_is_in_the_file_when_append_returns(open_log, tmp_path):
    log = open_log()
    for number in range(1, 4):
        await log.append(event(number))
        lines = (tmp_path / "audit" / "audit-000001.jsonl").read_text().splitlines()
        assert len(lines) == log.records == log.head.seq == number
        assert log.head.hash in lines[-1]


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": 'line\nbreak "quoted" \x1b[31m \u2028 \x7f \ud800'},
        {"before": float("nan")},
        {"before": {"nested": [1, {"deep": "\ud800"}]}},
        {"before": object()},
        {"after": {("a", "tuple"): 1}},
        {"after": list(range(100_000))},
        {"actor": "x" * 1_000_000},
        {"model": "é" * 3_000, "peer": "日本"},
    ],
)
async def test_record_stays_one_bounded_line_of_ascii(open_log, fields):
    log = open_log()
    await log.append(event(**fields))
    (line,) = log.read()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 50_000
    assert log.verify().is_intact
    assert log.lost_records == 0


async def test_appends_of_many_tasks_keep_order_and_chain(open_log):
    log = open_log(segment_bytes=20_000, checkpoint_records=10)

    async def act(number):
        for step in range(10):
            await log.append(event(number, reason=f"step {step}"))

    await asyncio.gather(*(act(number) for number in range(50)))
    assert log.verify().is_intact
    found = [record for record in records(log) if record["action"] == "model.load"]
    assert len(found) == 500
    for number in range(50):
        own = [record["reason"] for record in found if record["target"]["version"] == number]
        assert own == [f"step {step}" for step in range(10)]


async def test_order_is_by_number_when_the_clock_jumps(open_log):
    times = iter([1_780_000_000, 1_780_086_400, 1_779_900_000, 1_780_000_001, 0, 0, 0, 0, 0, 0])
    log = open_log(clock=lambda: next(times))
    for number in range(1, 4):
        await log.append(event(number))
    assert [record["target"]["version"] for record in records(log)] == [1, 2, 3]
    assert log.verify().is_intact


async def test_chain_goes_on_after_a_restart(open_log):
    log = open_log()
    await log.append(event(1))
    head = log.head
    log.close()
    log = open_log()
    assert log.head == head
    await log.append(event(2))
    assert [record["seq"] for record in records(log)] == [1, 2]
    assert records(log)[1]["prev"] == head.hash


async def test_checkpoint_comes_after_so_many_records_and_begins_each_segment(open_log, tmp_path):
    log = open_log(segment_bytes=4_000, checkpoint_records=5)
    for number in range(30):
        await log.append(event(number))
    found = records(log)
    segments = sorted((tmp_path / "audit").glob("audit-*.jsonl"))
    assert len(segments) > 2
    for before, segment in pairwise(segments):
        first = json.loads(segment.read_text().splitlines()[0])
        assert first["action"] == CHECKPOINT
        assert first["after"]["segment"] == before.name
        assert first["after"]["bytes"] == before.stat().st_size
    gap = 0
    for record in found:
        gap = 0 if record["action"] == CHECKPOINT else gap + 1
        assert gap <= 5
        if record["action"] == CHECKPOINT:
            assert record["after"]["records"] == record["seq"] - 1
            assert record["after"]["head"] == record["prev"]


@pytest.mark.parametrize("segment_bytes", [1_000, 1_000_000])
async def test_read_gives_the_last_ones_and_those_of_a_model(open_log, segment_bytes):
    log = open_log(segment_bytes=segment_bytes)
    for number in range(20):
        await log.append(event(number, model="even" if number % 2 == 0 else "odd"))
    everything = list(log.read())
    assert [json.loads(line)["seq"] for line in everything] == list(range(1, log.records + 1))
    for last in (1, 3, 19, 100):
        assert list(log.read(last=last)) == everything[-last:]
        found = records(log, last=last, model="odd")
        assert [record["target"]["version"] for record in found] == list(range(1, 20, 2))[-last:]
    assert list(log.read(model="neither")) == []


async def test_read_ends_with_what_was_durable_when_it_began(open_log):
    log = open_log()
    await log.append(event(1))
    reading = log.read()
    first = next(reading)
    await log.append(event(2))
    assert list(reading) == []
    assert json.loads(first)["seq"] == 1


async def test_follow_gives_each_new_record_once_and_in_order(open_log):
    log = open_log(segment_bytes=3_000)
    await log.append(event(0, reason="before"))

    async def listen(**options):
        return [json.loads(line)["seq"] async for line in log.follow(**options)]

    start = log.position
    listeners = [asyncio.create_task(listen(since=start)) for _ in range(3)]
    await asyncio.gather(*(log.append(event(number)) for number in range(50)))
    log.stop_following()
    for listener in listeners:
        assert await listener == list(range(2, log.records + 1))


async def test_follow_waits_for_what_comes_and_keeps_to_the_model(open_log):
    log = open_log()
    following = log.follow(model="spam")
    waiting = asyncio.create_task(anext(following))
    await log.append(event(1))
    await log.append(event(2, model="spam"))
    assert json.loads(await asyncio.wait_for(waiting, 30))["target"]["version"] == 2
    log.stop_following()
    with pytest.raises(StopAsyncIteration):
        await anext(following)


async def test_record_is_written_when_its_caller_is_cancelled(open_log):
    log = open_log()
    appending = asyncio.create_task(log.append(event(1)))
    await asyncio.sleep(0)
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    await log.append(event(2))
    assert [record["target"]["version"] for record in records(log)] == [1, 2]


async def test_change_and_the_hash_that_vouches_for_it_are_in_the_structured_log(open_log, logged):
    log = open_log()
    await log.append(event(3, reason="because"))
    (line,) = [line for line in logged() if line["event"] == "change"]
    assert (line["action"], line["model"], line["version"]) == ("model.load", "digits", 3)
    assert (line["seq"], line["hash"], line["reason"]) == (1, log.head.hash, "because")


async def test_append_never_raises_and_failures_are_counted_logged_and_stated(
    open_log, logged, tmp_path
):
    folder = tmp_path / "audit"
    log = open_log(segment_bytes=1)
    await log.append(event(1))
    # A folder has the name of the next segment: it cannot be opened, and every append needs it.
    obstacle = folder / "audit-000002.jsonl"
    obstacle.mkdir()
    await log.append(event(2))
    await asyncio.gather(log.append(event(3)), log.append(event(4)))
    assert (log.records, log.lost_records) == (1, 3)
    assert 2 <= log.write_errors <= 3
    failures = [line for line in logged() if line["event"] == "change not in the audit log"]
    assert [line["version"] for line in failures] == [2, 3, 4]
    assert "Is a directory" in failures[0]["problem"]
    obstacle.rmdir()
    await log.append(event(5))
    assert log.verify().is_intact
    found = records(log)
    assert [record["action"] for record in found] == [
        "model.load", CHECKPOINT, "audit.lost", "model.load",
    ]  # fmt: skip
    assert found[2]["after"] == {"records": 3}
    assert "Is a directory" in found[2]["reason"]
    assert log.lost_records == 3


async def test_append_beyond_the_queue_is_lost_and_stated(open_log):
    log = open_log(max_queued_bytes=600)
    await asyncio.gather(*(log.append(event(number)) for number in range(20)))
    assert log.lost_records > 0
    assert log.write_errors == 0
    offered, lost = 20, -1
    # The queue may still be full: what was lost is stated before the next record that is kept.
    while lost != log.lost_records:
        lost = log.lost_records
        await log.append(event(99))
        offered += 1
    assert log.verify().is_intact
    stated = [r["after"]["records"] for r in records(log) if r["action"] == "audit.lost"]
    kept = [r for r in records(log) if r["action"] == "model.load"]
    assert sum(stated) == log.lost_records == offered - len(kept)


async def test_event_loop_runs_while_the_writers_thread_hangs(open_log):
    answering, asked = threading.Event(), threading.Event()
    loop_thread = threading.get_ident()

    def clock():
        if threading.get_ident() != loop_thread:
            asked.set()
            assert answering.wait(30)
        return 1_780_000_000

    log = open_log(clock=clock)
    appending = asyncio.create_task(log.append(event(1)))
    assert await asyncio.to_thread(asked.wait, 30)
    assert not appending.done()
    assert log.records == 0
    answering.set()
    await appending
    assert log.records == 1


async def test_second_process_on_the_folder_is_refused(open_log, tmp_path):
    open_log()
    with pytest.raises(InvalidConfig, match="is in use by another fastserve: stop it, or give"):
        AuditLog.open(tmp_path / "audit")


async def test_tail_cut_at_any_byte_is_repaired_and_reported(logged, memory_path):
    folder = memory_path / "audit"
    log = AuditLog.open(folder, clock=lambda: 1_780_000_000)
    for number in range(1, 7):
        await log.append(event(number))
    log.close()
    path, head = folder / "audit-000001.jsonl", folder / "head"
    data, stored = path.read_bytes(), head.read_bytes()
    lines = data.splitlines(keepends=True)
    for length in range(len(b"".join(lines[:3])), len(data)):
        path.write_bytes(data[:length])
        head.write_bytes(stored)
        whole = data[:length].count(b"\n")
        assert not verify_folder(folder).is_intact
        log = AuditLog.open(folder, clock=lambda: 1_780_000_000)
        found = records(log)
        after = log.verify()
        log.close()
        # What is whole is kept, and what is missing is on record for good.
        assert [record["seq"] for record in found] == list(range(1, whole + 2))
        assert found[-1]["action"] == REPAIRED
        assert found[-1]["before"]["seq"] == 6
        assert found[-1]["after"]["missing"] == 6 - whole
        torn = length - len(b"".join(lines[:whole]))
        assert [cut["bytes"] for cut in found[-1]["after"]["cut"]] == ([torn] if torn else [])
        assert (after.segment, after.line) == (path.name, whole + 1)
        assert f"acknowledged records before it ({6 - whole}) were missing" in after.problem
    warned = [line for line in logged() if line["event"] == "audit log repaired"]
    assert len(warned) == len(data) - len(b"".join(lines[:3]))
    assert warned[0]["missing_records"] == 3


async def test_torn_record_that_was_never_acknowledged_leaves_the_log_intact(open_log, tmp_path):
    log = open_log()
    await log.append(event(1))
    log.close()
    with (tmp_path / "audit" / "audit-000001.jsonl").open("ab") as file:
        file.write(b'{"seq":2,"time":"2026-')
    torn = verify_folder(tmp_path / "audit")
    assert torn.placed_problem == (
        "audit-000001.jsonl line 2: has no end: a write was cut off here"
    )
    log = open_log()
    assert log.verify().is_intact
    assert records(log)[1]["reason"].startswith("the last write was cut off by a crash")


async def test_damage_in_the_middle_is_refused_with_its_place(open_log, tmp_path):
    log = open_log()
    for number in range(3):
        await log.append(event(number))
    log.close()
    path = tmp_path / "audit" / "audit-000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"anna", b"otto", 1))
    with pytest.raises(ArtifactCorrupt, match=re.escape(f"{path} line 1: was changed")):
        AuditLog.open(tmp_path / "audit")
    # The refusal lets go of the folder.
    path.write_bytes(path.read_bytes().replace(b"otto", b"anna"))
    open_log()


async def test_missing_head_file_is_refused(open_log, tmp_path):
    log = open_log()
    await log.append(event(1))
    log.close()
    (tmp_path / "audit" / "head").unlink()
    with pytest.raises(ArtifactCorrupt, match="the file 'head' is missing"):
        AuditLog.open(tmp_path / "audit")


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (KEY, None, "was begun with a key: give that key"),
        (None, KEY, "was begun with no key: start without key"),
        (KEY, KEY[::-1], "was not made with this key"),
    ],
)
async def test_key_is_that_of_the_beginning(open_log, tmp_path, first, second, words):
    log = open_log(key=first)
    await log.append(event(1))
    log.close()
    with pytest.raises(InvalidConfig, match=words):
        AuditLog.open(tmp_path / "audit", key=second)
    log = open_log(key=first)
    assert log.verify().is_intact
