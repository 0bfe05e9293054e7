"""Writers that are killed, or whose disk fails: nothing acknowledged is lost, every start works."""

import asyncio
import errno
import json
import os
import random
import signal
import sys

import pytest

from fastserve.durable.state_file import read_state
from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.observe.audit_record import CHECKPOINT, LOST, parse_record
from fastserve.observe.audit_retention import Retention
from fastserve.observe.audit_verification import verify_folder

KILLS = 25
EXIT, TEAR = -1, -2
# One case never makes more changes than this; the loop over them ends by itself.
MOST_CALLS = 200


def words(outcome, key):
    return [word for word in outcome["said"] if isinstance(word, dict) and key in word]


def is_past_the_last(outcome, call):
    """The writer came to its end without making so many calls."""
    return any(word["calls"] < call for word in words(outcome, "calls"))


def records(folder):
    """Of the log as a server finds it: it opens, takes one more, and verifies as intact."""

    async def run():
        log = AuditLog.open(folder)
        try:
            await log.append(AuditEvent(action="model.unload", actor="b", origin="operator"))
            assert log.lost_records == 0
            verification = log.verify()
            assert verification.is_intact, verification.placed_problem
            return [parse_record(line.encode()) for line in log.read()]
        finally:
            log.close()

    found = asyncio.run(run())
    assert [record.seq for record in found] == list(range(1, len(found) + 1))
    assert found[-1].action in {"model.unload", CHECKPOINT}
    return found


def assert_kept(folder, outcomes):
    """Every head that was acknowledged is in the log, at its place."""
    found = records(folder)
    hashes = {record.seq: record.hash for record in found}
    for outcome in outcomes:
        for word in words(outcome, "seq"):
            assert hashes[word["seq"]] == word["hash"]
    return found


def test_audit_keeps_what_it_acknowledged_when_killed_at_random_times(nursery, tmp_path):
    seed = int(os.environ.get("FASTSERVE_TEST_SEED", random.randrange(1 << 32)))
    sys.stdout.write(f"again with FASTSERVE_TEST_SEED={seed}\n")
    chance = random.Random(seed)
    outcomes = []
    for kill in range(KILLS):
        # One in four while it still opens the log; else the first word is that it has, and each
        # further one acknowledges, so that a slow disk makes the test slow and not empty.
        kill_after_words = [0, 1, 2, 8][kill % 4]
        outcome = nursery.run(
            "audit", tmp_path, kill_seconds=chance.uniform(0, 0.05), appends=100_000,
            together=chance.choice([1, 3, 20]), segment_bytes=20_000,
            kill_after_words=kill_after_words,
        )  # fmt: skip
        assert outcome["status"] == signal.SIGKILL, outcome
        assert len(words(outcome, "seq")) >= kill_after_words - 1
        outcomes.append(outcome)
    acknowledged = sum(len(words(outcome, "seq")) for outcome in outcomes)
    assert acknowledged >= KILLS
    assert_kept(tmp_path, outcomes)


@pytest.mark.parametrize("action", [EXIT, TEAR], ids=["before", "within"])
def test_audit_keeps_what_it_acknowledged_when_killed_at_each_call(nursery, memory_path, action):
    for call in range(1, MOST_CALLS):
        folder = memory_path / str(call)
        killed = nursery.run("audit", folder, action=action, first=call, last=call)
        assert_kept(folder, [killed])
        if is_past_the_last(killed, call):
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")


@pytest.mark.parametrize(
    ("code", "span"), [(errno.EIO, 1), (errno.EIO, 2), (errno.ENOSPC, 1)], ids=str
)
def test_audit_never_acknowledges_what_failed_and_goes_on(nursery, memory_path, code, span):
    for call in range(1, MOST_CALLS):
        folder = memory_path / str(call)
        failed = nursery.run("audit", folder, action=code, first=call, last=call + span - 1)
        found = assert_kept(folder, [failed])
        if words(failed, "error"):
            continue  # refused at the start
        assert failed["status"] == 0
        (counted,) = words(failed, "lost")
        if is_past_the_last(failed, call):
            assert counted == {"lost": 0, "write_errors": 0}
            return
        # No failure is taken for a success.
        assert 1 <= counted["write_errors"] <= span
        assert counted["lost"] <= counted["write_errors"]
        stated = [json.loads(bytes(r.after))["records"] for r in found if r.action == LOST]
        # Of the last ones nothing could be said: the process ended before it could write again.
        assert stated in ([], [counted["lost"]])
    raise AssertionError(f"more than {MOST_CALLS} calls")


@pytest.mark.parametrize("action", [EXIT, errno.EIO], ids=["before", "EIO"])
def test_audit_is_whole_from_where_it_says_after_each_call(nursery, memory_path, action):
    """Old segments are removed on the way: nothing goes before the log says that it has gone."""
    sizes = {"appends": 4, "segment_bytes": 500, "keep_bytes": 1_500}
    first_kept = set()
    for call in range(1, MOST_CALLS):
        folder = memory_path / str(call)
        outcome = nursery.run("audit", folder, action=action, first=call, last=call, **sizes)
        acknowledged = [word["seq"] for word in words(outcome, "seq")]
        if not acknowledged:
            continue  # killed, or refused, at its start
        left = verify_folder(folder)
        assert left.is_intact, (call, left.placed_problem)
        assert left.records >= acknowledged[-1]
        # The next server goes on with it.
        AuditLog.open(folder, segment_bytes=500, retention=Retention(bytes=1_500)).close()
        found = verify_folder(folder)
        assert found.is_intact, (call, found.placed_problem)
        assert found.first >= left.first
        first_kept.add(left.first)
        if is_past_the_last(outcome, call):
            assert len(first_kept) > 1
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")


@pytest.mark.parametrize("action", [EXIT, TEAR, errno.EIO], ids=["before", "within", "EIO"])
def test_state_is_the_old_or_the_new_one_after_each_call(nursery, memory_path, action):
    for call in range(1, MOST_CALLS):
        folder = memory_path / str(call)
        folder.mkdir()
        outcome = nursery.run("states", folder, action=action, first=call, last=call)
        told = [word for word in outcome["said"] if isinstance(word, int)]
        state = read_state(folder / "state", int)
        assert (state.value or 0) in {max(told, default=0), max(told, default=0) + 1}
        assert state.skipped == ()
        if is_past_the_last(outcome, call):
            assert told == list(range(1, 7))
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")
