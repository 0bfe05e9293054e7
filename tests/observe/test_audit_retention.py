"""Old audit records go in whole segments, the log says so, and what is kept stays provable."""

import asyncio
import itertools
import json
import shutil
from datetime import UTC, datetime

import pytest

from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.observe.audit_retention import Retention
from fastserve.observe.audit_verification import verify_folder, verify_lines

KEY = b"a key of nobody at all"
DAY = 86_400
BEGIN = 1_780_000_000
KEPT = Retention(bytes=40_000)


class Clock:
    def __init__(self):
        self.now = float(BEGIN)

    def __call__(self):
        return self.now


def write(folder, count, *, step=0.0, clock=None, **options):
    """Appends so many records, `step` seconds apart; the lines of the log."""
    clock = clock or Clock()

    async def run():
        log = AuditLog.open(folder, clock=clock, **{"checkpoint_records": 1_000} | options)
        try:
            for number in range(count):
                clock.now += step
                await log.append(
                    AuditEvent(action="model.load", actor="anna", origin="operator", version=number)
                )
            assert log.lost_records == 0
            assert log.verify() == verify_folder(folder, key=options.get("key"))
            return list(log.read())
        finally:
            log.close()

    return asyncio.run(run())


def segments(folder):
    return sorted(path.name for path in folder.glob("audit-*.jsonl"))


def size(folder):
    return sum(path.stat().st_size for path in folder.glob("audit-*.jsonl"))


def removals(lines):
    return [json.loads(line) for line in lines if '"action":"audit.removed"' in line]


@pytest.fixture
def folder(memory_path):
    """A log of some segments whose first ones are gone."""
    write(memory_path / "audit", 150, retention=KEPT)
    assert segments(memory_path / "audit")[0] > "audit-000003.jsonl"
    return memory_path / "audit"


def test_log_keeps_everything_unless_told(memory_path):
    write(memory_path / "audit", 60, segment_bytes=1_000)
    assert len(segments(memory_path / "audit")) > 10
    assert verify_folder(memory_path / "audit").first == 1


def test_log_stays_below_its_bytes_and_says_what_it_removed(folder):
    found = verify_folder(folder)
    assert found.is_intact, found.placed_problem
    assert size(folder) <= KEPT.bytes + KEPT.segment_bytes
    lines = write(folder, 1, retention=KEPT)
    first, last = json.loads(lines[0]), removals(lines)[-1]
    assert first["action"] == "audit.checkpoint"
    assert found.first == first["seq"]
    assert (last["origin"], last["actor"]) == ("automatic", "fastserve")
    assert last["after"]["records"] == first["seq"] - 1
    assert last["after"]["head"] == first["prev"] == first["after"]["head"]
    assert last["after"]["segment"] == segments(folder)[0]
    assert last["after"]["first_time"] == "2026-05-28T20:26:40.000Z"
    # Every record went once: the removals that are still known add up.
    told = [each["after"] for each in removals(lines)]
    for before, after in itertools.pairwise(told):
        assert after["records"] - after["removed"] == before["records"]


def test_records_go_when_they_are_older_than_the_days_that_are_kept(memory_path):
    clock = Clock()
    lines = write(
        memory_path / "audit", 200, step=DAY / 4, clock=clock, retention=Retention(seconds=8 * DAY)
    )
    oldest = datetime.fromisoformat(json.loads(lines[0])["time"])
    age_days = (datetime.fromtimestamp(clock.now, UTC) - oldest).total_seconds() / DAY
    assert 8 <= age_days <= 10.5
    assert verify_folder(memory_path / "audit").is_intact


def test_start_removes_what_became_too_old_meanwhile(memory_path):
    folder, clock = memory_path / "audit", Clock()
    kept = Retention(seconds=8 * DAY)
    write(folder, 20, step=DAY / 4, clock=clock, retention=kept)
    before = segments(folder)
    clock.now += 30 * DAY
    lines = write(folder, 0, clock=clock, retention=kept)
    # The newest segment stays, whatever its age; what is written now begins another.
    assert segments(folder)[:-1] == before[-1:]
    assert removals(lines)[-1]["after"]["segment"] == before[-1]


def test_lines_that_a_server_sends_verify_from_where_they_begin(folder):
    lines = write(folder, 1, retention=KEPT)
    found = verify_lines(lines)
    assert found.is_intact, found.placed_problem
    assert found == verify_folder(folder)
    # Without its first segments, which nothing says were removed.
    cut = next(n for n, line in enumerate(lines) if n and '"segment":"audit-' in line)
    assert "are missing" in verify_lines(lines[cut:]).problem
    # A log does not begin in the middle of a segment.
    assert "record 1 is expected" in verify_lines(lines[1:]).problem


def test_segment_that_nothing_says_was_removed_is_missed(folder):
    first = segments(folder)[0]
    (folder / first).unlink()
    found = verify_folder(folder)
    assert found.placed_problem == f"{first}: is missing"
    assert found.records == 0


def test_segments_missing_from_a_log_that_removes_nothing_are_missed(memory_path):
    folder = memory_path / "audit"
    write(folder, 60, segment_bytes=1_000)
    (folder / "audit-000001.jsonl").unlink()
    assert verify_folder(folder).placed_problem == "audit-000001.jsonl: is missing"


def test_damage_to_what_is_kept_is_found(folder, memory_path):
    for place, change in (
        (0, lambda data: data.replace(b"anna", b"otto", 1)),
        (0, lambda data: data.split(b"\n", 1)[1]),
        (1, lambda data: data[: data.rfind(b"\n", 0, -1) + 1]),
        (-1, lambda data: data[: data.rfind(b"\n", 0, -1) + 1]),
    ):
        shutil.copytree(folder, memory_path / "copy")
        path = memory_path / "copy" / segments(folder)[place]
        path.write_bytes(change(path.read_bytes()))
        assert not verify_folder(memory_path / "copy").is_intact
        shutil.rmtree(memory_path / "copy")


def test_log_that_lacks_a_segment_removes_nothing_more(folder):
    first = segments(folder)[0]
    (folder / first).unlink()
    left = segments(folder)
    write_without_verifying(folder, 80)
    assert segments(folder)[: len(left)] == left
    assert verify_folder(folder).placed_problem == f"{first}: is missing"


def write_without_verifying(folder, count):
    async def run():
        log = AuditLog.open(folder, retention=KEPT, checkpoint_records=1_000, clock=Clock())
        for _ in range(count):
            await log.append(AuditEvent(action="model.load", actor="anna", origin="operator"))
        log.close()

    asyncio.run(run())


def test_files_that_a_crash_left_go_at_the_next_start(memory_path):
    folder = memory_path / "audit"
    write(folder, 60, retention=KEPT)
    assert segments(folder)[0] == "audit-000001.jsonl"
    kept = {}
    # All segments there ever were, beside a log that says that the first two are gone.
    while segments(folder)[0] <= "audit-000002.jsonl":
        kept |= {name: (folder / name).read_bytes() for name in segments(folder)}
        write(folder, 1, retention=KEPT)
    first = segments(folder)[0]
    gone = [name for name in kept if name < first]
    for name in gone:
        (folder / name).write_bytes(kept[name])
    assert verify_folder(folder).first == 1
    # As after a crash between two of them.
    (folder / gone[0]).unlink()
    found = verify_folder(folder)
    assert found.is_intact, found.placed_problem
    count = len(removals(write(folder, 0, retention=KEPT)))
    assert segments(folder)[0] == first
    assert len(removals(write(folder, 0, retention=KEPT))) == count


def test_removal_carries_the_key_and_nobody_else_can_say_it(memory_path):
    folder = memory_path / "audit"
    lines = write(folder, 150, retention=KEPT, key=KEY)
    assert verify_folder(folder, key=KEY).is_intact
    assert all("mac" in each for each in removals(lines))


def test_noted_head_of_a_removed_record_is_told_apart_where_it_can_be(folder):
    lines = write(folder, 1, retention=KEPT)
    anchor = json.loads(lines[0])["prev"]
    assert verify_folder(folder, expected_head=anchor).is_intact
    found = verify_folder(folder, expected_head="0123456789abcdef" * 4)
    assert f"or is of one of the {found.first - 1} that retention removed" in found.problem


def test_reading_passes_over_a_segment_that_goes_meanwhile(folder):
    async def run():
        log = AuditLog.open(folder, retention=KEPT, clock=Clock())
        lines = log.read()
        newest = [json.loads(next(lines))["seq"]]
        for name in segments(folder)[1:-1]:
            (folder / name).unlink()
        newest += [json.loads(line)["seq"] for line in lines]
        assert newest == sorted(newest)
        assert newest[-1] == log.head.seq
        log.close()

    asyncio.run(run())
