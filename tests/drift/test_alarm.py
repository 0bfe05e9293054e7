"""Alarms are told once a change, to everybody, and end with what they are about."""

import msgspec
import pytest

from fastserve.drift.alarm import MAX_RECENT, Alarm, AlarmBook, Window


def alarm(*, is_raised=True, subject="x[0]", version=1, kind="drift", time=10.0):
    return Alarm(
        kind=kind,
        model="m",
        version=version,
        subject=subject,
        is_raised=is_raised,
        score=0.3,
        threshold=0.2,
        window=Window(0, 10, 1000),
        time=time,
    )


@pytest.fixture
def problems():
    return []


@pytest.fixture
def book(problems):
    return AlarmBook(problems.append)


@pytest.fixture
def told(book):
    changes = []
    book.listen(lambda each: changes.append((each.subject, each.is_raised)))
    return changes


def test_book_tells_of_a_change_once(book, told):
    for _ in range(3):
        book.report(alarm())
    for _ in range(2):
        book.report(alarm(is_raised=False))
    assert told == [("x[0]", True), ("x[0]", False)]
    assert book.raised == {("m", "drift"): 1}


def test_book_keeps_a_standing_alarm_up_to_date(book):
    book.report(alarm(time=1))
    book.report(alarm(time=2))
    assert [each.time for each in book.standing] == [2]
    assert [each.time for each in book.recent] == [1]


def test_book_says_nothing_of_an_alarm_that_falls_without_having_stood(book, told):
    book.report(alarm(is_raised=False))
    assert told == []
    assert book.recent == []


def test_book_tells_the_others_when_a_listener_fails(book, problems):
    def fail(_alarm):
        raise RuntimeError("no route to host")

    book.listen(fail)
    told = []
    book.listen(told.append)
    book.report(alarm())
    assert len(told) == 1
    assert problems == ["a listener of alarms failed: RuntimeError: no route to host"]


def test_listener_hears_nothing_once_it_has_left(book):
    told = []
    leave = book.listen(told.append)
    leave()
    book.report(alarm())
    assert told == []


def test_book_clears_all_of_a_version_with_the_reason(book, told):
    book.report(alarm())
    book.report(alarm(subject="y", kind="quality"))
    book.report(alarm(version=2))
    book.clear("m", 1, "the version is no longer loaded", 20.0)
    assert [each.version for each in book.standing] == [2]
    assert told[-2:] == [("x[0]", False), ("y", False)]
    assert book.recent[-1].evidence == {"cleared_by": "the version is no longer loaded"}
    assert book.recent[-1].time == 20


def test_book_clears_one_kind_alone(book):
    book.report(alarm())
    book.report(alarm(subject="y", kind="quality"))
    book.clear("m", 1, "another profile", 20.0, ("drift",))
    assert [each.kind for each in book.standing] == ["quality"]


def test_book_keeps_so_many_changes_and_no_more(book):
    for number in range(MAX_RECENT):
        book.report(alarm(time=number))
        book.report(alarm(is_raised=False, time=number))
    assert len(book.recent) == MAX_RECENT
    assert book.recent[-1].time == MAX_RECENT - 1


def test_alarm_is_plain_data():
    assert msgspec.json.decode(msgspec.json.encode(alarm()), type=Alarm) == alarm()
