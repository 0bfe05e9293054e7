"""Reads a whole audit log and says the first thing that is wrong with it, and where.

A log may begin with a later record where its last `audit.removed` says that retention removed those
before (fastserve.observe.audit_retention).

Found without a key: every changed byte, every record deleted, inserted, moved or repeated, records
cut off the end that the head file still knows, segments that are missing, shorter or longer than
the next one says. Whoever may write the folder and knows this format can make all of it anew. With
`key` no record can be made by somebody else, but the newest can still be cut off, together with an
older head file. Only a head that was noted elsewhere (`expected_head`) tells that.

Thread: any; reading waits for the disk.
"""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from fastserve.decoding import decoder
from fastserve.durable.segment import Line, Position, list_segments, segment_path
from fastserve.errors import ArtifactCorrupt, InvalidConfig
from fastserve.observe.audit_beginning import Beginning
from fastserve.observe.audit_chain import START, Chain
from fastserve.observe.audit_folder import PREFIX, Boundary, read_boundary, read_segment
from fastserve.observe.audit_head import HEAD_FILE, StoredHead, read_head
from fastserve.observe.audit_record import GENESIS, REPAIRED, DamagedRecord, Record

# During one verification.
_MOST_REMOVALS: Final = 3
_UNCHECKED: Final = "records carry MACs, which need the key to be checked"


class Verification(msgspec.Struct, frozen=True):
    """What was found. `records` and `head` are those up to the first problem.

    `first` is the number of the oldest record: above 1 where retention removed others. `problem` is
    empty for an intact log; `segment` and `line` (from 1) say where it is, if it has one place.
    `note` says what was not checked.
    """

    records: int
    head: str
    segment: str = ""
    line: int = 0
    problem: str = ""
    note: str = ""
    first: int = 1

    @property
    def is_intact(self) -> bool:
        return not self.problem

    @property
    def placed_problem(self) -> str:
        """The problem with its place, for people; empty for an intact log."""
        line = f" line {self.line}" if self.line else ""
        return f"{self.segment}{line}: {self.problem}" if self.segment else self.problem


def verify_folder(
    folder: Path,
    *,
    key: bytes | None = None,
    expected_head: str = "",
    end: Callable[[], Position] | None = None,
) -> Verification:
    """The log in `folder`, up to `end` where a server appends to it meanwhile.

    `expected_head` is the hash of any record, noted at any time. Errors: InvalidConfig when there
    is no log; OSError.
    """
    for _ in range(_MOST_REMOVALS):
        # Segments may be removed while they are read: then all is read again.
        with contextlib.suppress(FileNotFoundError):
            return _verify_once(folder, key, expected_head, end)
    return _verify_once(folder, key, expected_head, end)


def _verify_once(
    folder: Path, key: bytes | None, expected_head: str, end: Callable[[], Position] | None
) -> Verification:
    walk = _Walk(folder, key, expected_head)
    try:
        walk.run(end)
    except _Problem as found:
        return walk.result(found)
    except ArtifactCorrupt as error:
        return walk.result(_Problem(error.message))
    return walk.result()


def verify_lines(
    lines: Iterable[str], *, key: bytes | None = None, expected_head: str = ""
) -> Verification:
    """The same for all lines of a log in order, as a server streams them; places are lines alone.

    What the files alone tell (the head file, torn ends) is the server's to check.
    """
    # Where it begins is the last thing that is known.
    chain = Chain(None, key)
    beginning = Beginning()
    is_expected_found = expected_head in {"", GENESIS}
    found: _Problem | None = None
    for number, line in enumerate(lines, 1):
        try:
            record = chain.follow(line.encode(errors="replace"))
            beginning.follow(record)
        except DamagedRecord as error:
            found = _Problem(str(error), "the server's answer", number)
            break
        is_expected_found = is_expected_found or expected_head in {record.hash, record.prev}
    if found is None and (problem := beginning.problem):
        found = _Problem(problem, "the server's answer", 1)
    if found is None and not is_expected_found:
        found = _Problem(_absent(expected_head, beginning.first))
    return _result(chain, found, is_signed=chain.is_signed, first=beginning.first)


class _Problem(Exception):  # noqa: N818 - not an error: what is looked for
    def __init__(self, problem: str, segment: str = "", line: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.segment = segment
        self.line = line


class _Walk:
    def __init__(self, folder: Path, key: bytes | None, expected_head: str) -> None:
        self._folder = folder
        self._key = key
        self._chain = Chain(START, key)
        self._beginning = Beginning()
        self._expected_head = expected_head
        self._is_expected_found = expected_head in {"", GENESIS}
        self._stored: StoredHead | None = None

    def run(self, end: Callable[[], Position] | None) -> None:
        # The head first: what it knows was in the files before it was written. The end after the
        # list: what is said about segments that are not in it was written before they went.
        self._stored = read_head(self._folder)
        numbers = list_segments(self._folder, PREFIX)
        until = None if end is None else end()
        numbers += [n for n in list_segments(self._folder, PREFIX) if n > max(numbers, default=0)]
        key = self._key
        if not numbers and self._stored is None:
            raise InvalidConfig(
                f"folder {str(self._folder)!r} holds no audit log, expected "
                f"{segment_path(self._folder, PREFIX, 1).name}"
            )
        if self._stored is not None and key is not None and not self._stored.is_made_with(key):
            raise _Problem(
                "was not made with this key: the log was rewritten, or has another key", HEAD_FILE
            )
        if until is not None:
            numbers = [number for number in numbers if number <= until.segment]
        begin = numbers[0] if numbers else 1
        if begin > 1:
            self._chain = Chain(None, key)
        for expected, number in enumerate(numbers, begin):
            if number != expected:
                raise self._missing_segment(expected)
            self._check_segment(number, until, is_last=number == numbers[-1])
        self._check_begin(begin)
        self._check_end()

    def _check_begin(self, begin: int) -> None:
        removal = self._beginning.removal
        expected = 1 if removal is None else removal.number
        if begin > expected:
            # Before all that was found to be sound.
            self._chain, self._beginning = Chain(START), Beginning()
            raise self._missing_segment(expected)
        if problem := self._beginning.problem:
            raise _Problem(problem, segment_path(self._folder, PREFIX, begin).name, 1)

    def _missing_segment(self, number: int) -> _Problem:
        return _Problem("is missing", segment_path(self._folder, PREFIX, number).name)

    def _check_segment(self, number: int, until: Position | None, *, is_last: bool) -> None:
        path = segment_path(self._folder, PREFIX, number)
        for line in read_segment(self._folder, number, end=until):
            try:
                record = self._follow(line)
                _check_first(self._folder, record, line, number)
            except DamagedRecord as error:
                raise _Problem(str(error), path.name, line.number) from None
            self._compare(record, path.name, line.number)
        if not is_last:
            self._check_size(path, read_boundary(self._folder, number + 1))

    def _follow(self, line: Line) -> Record:
        if line.problem:
            raise DamagedRecord(line.problem)
        record = self._chain.follow(line.data)
        self._beginning.follow(record)
        return record

    def _check_size(self, path: Path, boundary: Boundary | None) -> None:
        # Without a boundary the next segment's first line is damaged, and is found as such.
        if boundary is None:
            return
        size = path.stat().st_size
        # What a failed write left could not always be removed; it is not read.
        if size < boundary.bytes or (size > boundary.bytes and not boundary.failure):
            raise _Problem(
                f"has {size} bytes, and the next segment says {boundary.bytes}: "
                + ("records were cut off its end" if size < boundary.bytes else "bytes were added"),
                path.name,
            )

    def _compare(self, record: Record, segment: str, line: int) -> None:
        if self._expected_head in {record.hash, record.prev}:
            self._is_expected_found = True
        stored = self._stored
        if stored is not None and record.seq == stored.seq and record.hash != stored.hash:
            raise _Problem(
                f"is record {record.seq} with another hash than the head file has for it: "
                "records were rewritten",
                segment,
                line,
            )
        if record.action == REPAIRED and (missing := _missing(record)):
            raise _Problem(
                f"says that acknowledged records before it ({missing}) were missing when a server "
                "opened the log",
                segment,
                line,
            )

    def _check_end(self) -> None:
        head = self._chain.head
        if self._stored is None:
            raise _Problem("is missing: records cut off the end could not be noticed", HEAD_FILE)
        if head.seq < self._stored.seq:
            raise _Problem(
                f"ends with record {head.seq}, and the head file knows record {self._stored.seq}: "
                "the end was cut off",
                self._last_name(),
            )
        if not self._is_expected_found:
            raise _Problem(_absent(self._expected_head, self._beginning.first))

    def _last_name(self) -> str:
        numbers = list_segments(self._folder, PREFIX) or [1]
        return segment_path(self._folder, PREFIX, numbers[-1]).name

    def result(self, found: _Problem | None = None) -> Verification:
        is_signed = self._stored is not None and bool(self._stored.mac)
        first = self._beginning.first
        return _result(self._chain, found, is_signed=is_signed, first=first)


def _result(chain: Chain, found: _Problem | None, *, is_signed: bool, first: int) -> Verification:
    return Verification(
        records=chain.head.seq,
        head=chain.head.hash,
        segment="" if found is None else found.segment,
        line=0 if found is None else found.line,
        problem="" if found is None else found.problem,
        note=_UNCHECKED if is_signed and not chain.has_key else "",
        first=first,
    )


def _check_first(folder: Path, record: Record, line: Line, number: int) -> None:
    """The first line of every segment but the first says what the one before it is."""
    if number == 1 or line.offset > 0:
        return
    boundary = read_boundary(folder, number)
    before = segment_path(folder, PREFIX, number - 1).name
    if boundary is None or boundary.segment != before:
        raise DamagedRecord(f"is {record.action}, expected the checkpoint that describes {before}")


def _missing(record: Record) -> int:
    try:
        return decoder(_Repaired).decode(record.after).missing
    except msgspec.DecodeError:
        return 0


class _Repaired(msgspec.Struct):
    missing: int


def _absent(expected_head: str, first: int) -> str:
    removed = f", or is of one of the {first - 1} that retention removed" if first > 1 else ""
    return (
        f"no record has the expected hash {expected_head}: the log was cut back or rewritten "
        f"since that was noted{removed}"
    )
