"""The thread that writes for others: groups, order, bounds, errors, the end."""

import threading
from concurrent.futures import Future

import pytest

from fastserve.durable.group_writer import MAX_GROUP_ITEMS, GroupWriter
from fastserve.errors import QueueFull, ServerDraining


class Disk:
    """Commits that wait until they are let through, one permit each."""

    def __init__(self):
        self.groups = []
        self.begun = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)
        self.error = None

    def commit(self, items):
        self.groups.append(list(items))
        self.begun.release()
        assert self.permits.acquire(timeout=30)
        if self.error is not None:
            raise self.error
        return [item * 10 for item in items]


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def writer(disk):
    writer = GroupWriter(disk.commit, name="test log", max_queued_bytes=1_000)
    yield writer
    for _ in range(1_000):
        disk.permits.release()
    assert writer.close(30)


def test_items_that_wait_are_committed_together_in_order(disk, writer):
    first = writer.submit(1, 1)
    assert disk.begun.acquire(timeout=30)
    rest = [writer.submit(n, 1) for n in range(2, 6)]
    disk.permits.release()
    disk.permits.release()
    assert [future.result(30) for future in (first, *rest)] == [10, 20, 30, 40, 50]
    assert disk.groups == [[1], [2, 3, 4, 5]]


def test_group_has_a_bound(disk, writer):
    writer.submit(0, 1)
    assert disk.begun.acquire(timeout=30)
    futures = [writer.submit(n, 1) for n in range(MAX_GROUP_ITEMS + 1)]
    for _ in range(3):
        disk.permits.release()
    futures[-1].result(30)
    assert [len(group) for group in disk.groups] == [1, MAX_GROUP_ITEMS, 1]


def test_item_beyond_the_bound_of_bytes_is_refused_at_once(disk, writer):
    kept = writer.submit(1, 600)
    assert disk.begun.acquire(timeout=30)
    refused = writer.submit(2, 401)
    with pytest.raises(QueueFull, match="test log: 1001 bytes wait for the disk, more than 1000"):
        refused.result(0)
    assert writer.queued_bytes == 600
    disk.permits.release()
    assert kept.result(30) == 10


def test_error_reaches_every_item_of_its_group_and_no_other(disk, writer):
    disk.error = OSError("no space")
    failed = writer.submit(1, 1)
    disk.permits.release()
    with pytest.raises(OSError, match="no space"):
        failed.result(30)
    disk.error = None
    disk.permits.release()
    assert writer.submit(2, 1).result(30) == 20


def test_item_cannot_be_cancelled(disk, writer):
    future = writer.submit(1, 1)
    assert not future.cancel()
    disk.permits.release()
    assert future.result(30) == 10


def test_callback_may_submit(disk, writer):
    disk.permits.release()
    disk.permits.release()
    second: Future[int] = Future()
    writer.submit(1, 1).add_done_callback(
        lambda _: writer.submit(2, 1).add_done_callback(
            lambda done: second.set_result(done.result())
        )
    )
    assert second.result(30) == 20


def test_close_writes_what_waits_and_takes_nothing_more(disk):
    writer = GroupWriter(disk.commit, name="test log", max_queued_bytes=1_000)
    futures = [writer.submit(n, 1) for n in range(3)]
    for _ in range(3):
        disk.permits.release()
    assert writer.close(30)
    assert [future.result(0) for future in futures] == [0, 10, 20]
    with pytest.raises(ServerDraining, match="test log is closed"):
        writer.submit(4, 1).result(0)


def test_close_does_not_wait_for_a_disk_that_hangs(disk, writer):
    writer.submit(1, 1)
    assert disk.begun.acquire(timeout=30)
    assert not writer.close(0.01)
