"""How long an audit log is kept: whole old segments go, and the log itself says so.

A removal begins as a record, `audit.removed`, in the newest segment, which always stays: up to
which record the log goes, that record's hash, how many they were and of when. When that is durable
the files go, the oldest first. The first one that is kept begins, as every segment but the first
does, with a checkpoint that has the same number and hash. So what is kept is verified from its own
beginning, and nothing but what the last `audit.removed` names may be missing before it. A crash in
between leaves files that the next start removes.

A log that lacks a segment, or whose checkpoint cannot be read, is left alone: a removal would cover
up what somebody did to it.

Thread: any, one at a time; everything here waits for the disk.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from fastserve.decoding import decoder
from fastserve.durable.replacement import sync_folder
from fastserve.durable.segment import list_segments, read_lines, segment_number, segment_path
from fastserve.errors import ArtifactCorrupt
from fastserve.observe.audit_folder import PREFIX, read_boundary
from fastserve.observe.audit_record import REMOVED, DamagedRecord, Record, parse_record

# Without a bound in bytes. The newest segment is read and checked at every start.
SEGMENT_BYTES: Final = 4 << 20
# What goes at a time is a part of what is kept.
_PARTS: Final = 8
_MARK: Final = f'"action":"{REMOVED}"'.encode()


class Retention(msgspec.Struct, frozen=True):
    """What is kept; 0 stands for all. With both bounds the first that is met removes."""

    seconds: float = 0.0
    bytes: int = 0

    @property
    def segment_bytes(self) -> int:
        return min(SEGMENT_BYTES, self.bytes // _PARTS) if self.bytes else SEGMENT_BYTES

    @property
    def segment_seconds(self) -> float:
        """After which a segment ends, whatever its size; 0: never."""
        return self.seconds / _PARTS


class Removal(msgspec.Struct, frozen=True):
    """What `audit.removed` says: all up to record `records`, whose hash is `head`, are gone.

    `segment` is the first one that is kept. `removed` of them went at this time, written between
    `first_time` and `last_time`.
    """

    segment: str
    records: int
    head: str
    removed: int
    first_time: str
    last_time: str

    @property
    def number(self) -> int:
        """Of the segment."""
        return segment_number(self.segment, PREFIX)


def removal_of(record: Record) -> Removal | None:
    """What the record says, if it is an `audit.removed`."""
    if record.action != REMOVED:
        return None
    try:
        removal = decoder(Removal).decode(record.after)
    except msgspec.DecodeError:
        return None
    return removal if removal.number else None


def find_removal(folder: Path) -> Removal | None:
    """The last one that the log has; it is looked for from the log's end. Errors: OSError.

    While the first segment is there only a start after a crash has to know of one, and that was
    written last of all.
    """
    numbers = list_segments(folder, PREFIX)
    for number in reversed(numbers if numbers[:1] != [1] else numbers[-1:]):
        found = None
        for line in read_lines(segment_path(folder, PREFIX, number)):
            if _MARK in line.data and not line.problem:
                found = _removal_in(line.data) or found
        if found is not None:
            return found
    return None


def plan_removal(
    folder: Path, retention: Retention, last: Removal | None, now: float
) -> Removal | None:
    """What is over its time or too much, the newest segment left out; None when nothing is.

    `last` is what was removed before. Errors: ArtifactCorrupt when it is not whole; OSError.
    """
    numbers = _kept_segments(folder, last)
    if not numbers:
        return None
    keep = _first_kept(folder, retention, numbers, now)
    if keep == numbers[0]:
        return None
    first = _first_record(folder, numbers[0])
    before = _last_record(folder, keep - 1)
    following = _first_record(folder, keep)
    if (before.seq, before.hash) != (following.seq - 1, following.prev):
        raise ArtifactCorrupt(f"record {following.seq} does not follow from the one before it")
    return Removal(
        segment=segment_path(folder, PREFIX, keep).name,
        records=before.seq,
        head=before.hash,
        removed=before.seq - first.seq + 1,
        first_time=first.time,
        last_time=before.time,
    )


def remove_segments(folder: Path, removal: Removal) -> None:
    """Those that the removal names, as far as they are there. Errors: OSError."""
    gone = [n for n in list_segments(folder, PREFIX) if n < removal.number]
    # The oldest first, so that after a crash what is left has no gap.
    for number in gone:
        segment_path(folder, PREFIX, number).unlink()
    if gone:
        sync_folder(folder)


def unix_seconds(record: Record) -> float:
    """When it was written; 0 for a time that is none."""
    try:
        return datetime.fromisoformat(record.time).timestamp()
    except ValueError:
        return 0.0


def _kept_segments(folder: Path, last: Removal | None) -> Sequence[int]:
    """Errors: ArtifactCorrupt."""
    numbers = [n for n in list_segments(folder, PREFIX) if last is None or n >= last.number]
    begin = 1 if last is None else last.number
    for expected, number in enumerate(numbers, begin):
        if number != expected:
            raise ArtifactCorrupt(f"{segment_path(folder, PREFIX, expected).name}: is missing")
    return numbers


def _first_kept(folder: Path, retention: Retention, numbers: Sequence[int], now: float) -> int:
    sizes = {n: segment_path(folder, PREFIX, n).stat().st_size for n in numbers}
    total = sum(sizes.values())
    for number in numbers[:-1]:
        is_too_much = retention.bytes > 0 and total > retention.bytes
        # A segment's last record is not younger than the first one of the next.
        is_over = retention.seconds > 0 and (
            0 < unix_seconds(_first_record(folder, number + 1)) < now - retention.seconds
        )
        if not is_too_much and not is_over:
            return number
        total -= sizes[number]
    return numbers[-1]


def _first_record(folder: Path, number: int) -> Record:
    """The checkpoint of any but the first segment. Errors: ArtifactCorrupt, OSError."""
    name = segment_path(folder, PREFIX, number).name
    for line in read_lines(segment_path(folder, PREFIX, number)):
        try:
            return parse_record(line.data)
        except DamagedRecord as error:
            raise ArtifactCorrupt(f"{name} line {line.number}: {error}") from None
    raise ArtifactCorrupt(f"{name}: is empty")


def _last_record(folder: Path, number: int) -> Record:
    """Of a segment that has another one behind it. Errors: ArtifactCorrupt, OSError."""
    path = segment_path(folder, PREFIX, number)
    boundary = read_boundary(folder, number + 1)
    if boundary is None:
        raise ArtifactCorrupt(
            f"{path.name}: the segment behind it does not begin with a checkpoint"
        )
    last = b""
    for line in read_lines(path, end=boundary.bytes):
        last = line.data
    try:
        return parse_record(last)
    except DamagedRecord as error:
        raise ArtifactCorrupt(f"{path.name}: {error}") from None


def _removal_in(line: bytes) -> Removal | None:
    try:
        return removal_of(parse_record(line))
    except DamagedRecord:
        return None
