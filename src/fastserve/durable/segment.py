"""The files of a line log: `<prefix>-000001.jsonl` and so on, read line by line.

Thread: any; reading waits for the disk.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from fastserve.durable.replacement import open_regular

# A line that is longer is damage; nothing of that size is ever held in memory.
MAX_LINE_BYTES: Final = 1 << 20
NO_END: Final = "has no end: a write was cut off here"
TOO_LONG: Final = f"is longer than {MAX_LINE_BYTES} bytes"

_SUFFIX: Final = ".jsonl"


class Position(msgspec.Struct, frozen=True, order=True):
    """A place between two lines: behind `offset` bytes of that segment. Segments count from 1."""

    segment: int = 0
    offset: int = 0


class Line(msgspec.Struct, frozen=True):
    """One line without its end. `problem` is empty, NO_END or TOO_LONG; the last two come last."""

    number: int
    offset: int
    data: bytes
    problem: str = ""

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + len(self.data) + (not self.problem)


def segment_path(folder: Path, prefix: str, number: int) -> Path:
    return folder / f"{prefix}-{number:06d}{_SUFFIX}"


def segment_number(name: str, prefix: str) -> int:
    """Of the segment with this name; 0 when it is none."""
    match = re.fullmatch(rf"{re.escape(prefix)}-([0-9]{{6,12}}){re.escape(_SUFFIX)}", name)
    # Only under the name that it would be given: no second file can pass for a segment.
    number = int(match[1]) if match else 0
    return number if number and segment_path(Path(), prefix, number).name == name else 0


def list_segments(folder: Path, prefix: str) -> list[int]:
    """Numbers of the segments that are there, ascending. Errors: OSError."""
    found = (segment_number(entry.name, prefix) for entry in folder.iterdir())
    return sorted(number for number in found if number)


def read_lines(path: Path, *, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """Lines from the one at `start` to the byte before `end`, to the file's end without.

    Errors: OSError; ArtifactCorrupt when it is no regular file.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        file.seek(start)
        offset, number = start, 0
        while end is None or offset < end:
            most = MAX_LINE_BYTES if end is None else min(MAX_LINE_BYTES, end - offset)
            data = file.readline(most)
            if not data:
                return
            number += 1
            if not data.endswith(b"\n"):
                problem = TOO_LONG if len(data) == MAX_LINE_BYTES else NO_END
                yield Line(number, offset, data, problem)
                return
            yield Line(number, offset, data[:-1])
            offset += len(data)
