"""The audit log's files as they are read: by the server itself, or offline by anybody.

Thread: any; reading waits for the disk.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from fastserve.decoding import decoder
from fastserve.durable.segment import Line, Position, list_segments, read_lines, segment_path
from fastserve.observe.audit_record import CHECKPOINT, DamagedRecord, parse_record

PREFIX: Final = "audit"


class Boundary(msgspec.Struct, frozen=True):
    """What the checkpoint at the beginning of a segment says about the one before it."""

    segment: str
    bytes: int
    failure: str = ""
    # All before, and the hash of the last of them.
    records: int = 0
    head: str = ""


def read_boundary(folder: Path, number: int) -> Boundary | None:
    """From the first line of segment `number`; None when that does not say it."""
    try:
        for line in read_lines(segment_path(folder, PREFIX, number)):
            record = None if line.problem else parse_record(line.data)
            if record is None or record.action != CHECKPOINT:
                return None
            return decoder(Boundary).decode(record.after)
    except (OSError, DamagedRecord, msgspec.DecodeError):
        return None
    return None


def read_segment(
    folder: Path, number: int, *, start: int = 0, end: Position | None = None
) -> Iterator[Line]:
    """Its lines that belong to the log: a failed write may have left others behind them."""
    stop = None
    if end is not None and number == end.segment:
        stop = end.offset
    elif boundary := read_boundary(folder, number + 1):
        stop = boundary.bytes
    return read_lines(segment_path(folder, PREFIX, number), start=start, end=stop)


def read_between(folder: Path, start: Position, end: Position | None) -> Iterator[bytes]:
    """Lines from `start` to `end`; to the end of the files without. Errors: OSError."""
    for number in _segments_until(folder, end):
        if number >= start.segment:
            offset = start.offset if number == start.segment else 0
            yield from _whole_lines(folder, number, offset, end)


def read_records(
    folder: Path, *, end: Position | None = None, last: int = 0, model: str = ""
) -> Iterator[str]:
    """The `last` newest lines, oldest first; all of them for 0. Of one `model` only, if named."""
    start, skipped = _find_start(folder, end, last, model) if last else (Position(), 0)
    for count, line in enumerate(of_model(read_between(folder, start, end), model)):
        if count >= skipped:
            yield line


def of_model(lines: Iterable[bytes], model: str) -> Iterator[str]:
    """Lines as text; those about `model` only, if it is not empty."""
    for line in lines:
        if not model or _model_of(line) == model:
            yield line.decode("ascii", errors="replace")


def _find_start(folder: Path, end: Position | None, last: int, model: str) -> tuple[Position, int]:
    """Where to begin, and how many lines from there are older than the `last` ones.

    Lines are counted here and read again later: the wanted ones need not fit into memory.
    """
    found = 0
    start = Position()
    for number in reversed(_segments_until(folder, end)):
        start = Position(number)
        found += sum(1 for _ in of_model(_whole_lines(folder, number, 0, end), model))
        if found >= last:
            break
    return start, max(0, found - last)


def _segments_until(folder: Path, end: Position | None) -> list[int]:
    return [n for n in list_segments(folder, PREFIX) if end is None or n <= end.segment]


def _whole_lines(folder: Path, number: int, start: int, end: Position | None) -> Iterator[bytes]:
    # A segment that was removed since it was listed is passed over.
    with contextlib.suppress(FileNotFoundError):
        for line in read_segment(folder, number, start=start, end=end):
            if not line.problem:
                yield line.data


class _Targeted(msgspec.Struct):
    class Target(msgspec.Struct):
        model: str

    target: Target


def _model_of(line: bytes) -> str:
    try:
        return decoder(_Targeted).decode(line).target.model
    except msgspec.DecodeError:
        return ""
