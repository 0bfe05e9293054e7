"""A backlog keeps order, is bounded, and holds nobody up."""

import threading

import pytest

from fastserve.observe.backlog import Backlog
from fastserve.observe.logs import configure_logs


class Handler:
    """Keeps groups; waits at `gate` while that is clear."""

    def __init__(self):
        self.groups = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_busy = threading.Event()
        self.fails = False

    def __call__(self, group):
        self.is_busy.set()
        assert self.gate.wait(30)
        if self.fails:
            raise ValueError("as told")
        self.groups.append(list(group))

    @property
    def items(self):
        return [item for group in self.groups for item in group]


@pytest.fixture
def handler():
    return Handler()


@pytest.fixture
def backlog(handler):
    made = Backlog(handler, name="test", max_items=10, max_group=4)
    yield made
    handler.gate.set()
    made.close(30)


def test_backlog_hands_on_everything_in_order_before_it_closes(backlog, handler):
    for i in range(0, 9, 3):
        assert backlog.offer([i, i + 1, i + 2]) == 0
    assert backlog.close(30) == 0
    assert handler.items == list(range(9))
    assert all(len(group) <= 4 for group in handler.groups)


def test_backlog_drops_the_last_that_find_no_room_and_says_how_many(backlog, handler):
    handler.gate.clear()
    backlog.offer(["first"])
    assert handler.is_busy.wait(30)
    assert backlog.offer(list(range(7))) == 0
    assert backlog.offer(list(range(7, 14))) == 4
    assert backlog.offer(["none"]) == 1
    handler.gate.set()
    assert backlog.close(30) == 0
    assert handler.items == ["first", *range(10)]


def test_backlog_says_what_was_left_when_its_handler_hangs(backlog, handler):
    handler.gate.clear()
    backlog.offer(["hangs"])
    assert handler.is_busy.wait(30)
    backlog.offer([1, 2, 3])
    assert backlog.close(0) == 3
    assert backlog.offer([4]) == 1


def test_backlog_goes_on_after_a_handler_that_raised(backlog, handler, capsys):
    configure_logs()
    handler.fails = True
    handler.gate.clear()
    backlog.offer(["lost"])
    assert handler.is_busy.wait(30)
    backlog.offer(["lost, too"])
    handler.gate.set()
    # The thread took the second group before it could see this.
    backlog.close(30)
    assert handler.items == []
    assert capsys.readouterr().err.count("calls lost") == 2
