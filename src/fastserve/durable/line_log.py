"""An append-only log of lines in segments: what `append` returned for is there after any crash.

Opening repairs the tail and nothing else. A crash may leave the end of the newest segment torn: a
line without its end, or zeros where blocks were never written. That is cut off and reported. A line
that its reader refuses and that others follow is damage, and refused with its file and line, unless
it lies behind what was acknowledged, where a crash may have left anything.

A failed write is taken back. After a failed fsync nobody knows what the disk holds, and asking
again would be told success (the kernel drops the pages and the error), so the segment is never
appended to again: the next append opens a new one.
Source: Rebello et al., "Can Applications Recover from fsync Failures?" (USENIX ATC'20).

Thread: any, one at a time; every function waits for the disk.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from fastserve.durable.replacement import open_regular, sync_folder, write_all
from fastserve.durable.segment import (
    MAX_LINE_BYTES,
    NO_END,
    Line,
    Position,
    list_segments,
    read_lines,
    segment_path,
)
from fastserve.errors import ArtifactCorrupt

# Gets the lines of the newest segment in order; what is wrong with this one, or nothing.
Check = Callable[[bytes], str]


class Repair(msgspec.Struct, frozen=True):
    """What was cut off the tail when the log was opened, beginning at `line` of `segment`."""

    segment: str
    line: int
    lines: int
    bytes: int


class Ending(msgspec.Struct, frozen=True):
    """A segment that is not appended to any more; `failure` is why, where it is not its size.

    What the file holds behind `bytes` does not belong to the log.
    """

    segment: str
    bytes: int
    failure: str = ""


class LineLog:
    """The log `<folder>/<prefix>-*.jsonl`. Call `close` at the end.

    `acknowledged` is a position that an earlier `append` reached, where the caller keeps one.
    Errors: ArtifactCorrupt for damage in the middle; OSError.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        check: Check,
        *,
        segment_bytes: int,
        acknowledged: Position,
    ) -> None:
        self._folder = folder
        self._prefix = prefix
        self._segment_bytes = segment_bytes
        self._descriptor = -1
        self._failure = ""
        self._is_over = False
        self._position = Position()
        self.repairs: list[Repair] = []
        for number in reversed(list_segments(folder, prefix)):
            size = self._repair(number, check, acknowledged)
            if size > 0:
                self._continue(number, size)
                break
            # A segment that never got its first line.
            segment_path(folder, prefix, number).unlink()
        sync_folder(folder)

    @property
    def position(self) -> Position:
        """Behind the last durable line."""
        return self._position

    @property
    def ending(self) -> Ending | None:
        """The segment that the next append leaves behind; None while that goes on with it."""
        at = self._position
        if not at.segment:
            return None
        if self._failure or self._is_over or at.offset >= self._segment_bytes:
            return Ending(self._name(at.segment), at.offset, self._failure)
        return None

    def end_segment(self) -> None:
        """The next append begins a new segment."""
        self._is_over = True

    def append(self, lines: Sequence[bytes]) -> None:
        """Every line is durable when this returns.

        Errors: OSError, and then none of them is in the log. The next append tries anew.
        """
        if any(b"\n" in line or len(line) >= MAX_LINE_BYTES for line in lines):
            raise ValueError(f"a line of a log has no line ends and under {MAX_LINE_BYTES} bytes")
        data = b"".join(line + b"\n" for line in lines)
        if self._descriptor < 0 or self.ending is not None:
            self._append_to_new_segment(data)
        else:
            self._append_to_present_segment(data)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append_to_present_segment(self, data: bytes) -> None:
        at = self._position
        is_written = False
        try:
            write_all(self._descriptor, data, at.offset)
            is_written = True
            os.fdatasync(self._descriptor)
        except OSError as error:
            if is_written:
                self._failure = str(error)
            try:
                os.ftruncate(self._descriptor, at.offset)
            except OSError:
                self._failure = str(error)
            raise
        self._position = Position(at.segment, at.offset + len(data))

    def _append_to_new_segment(self, data: bytes) -> None:
        number = self._position.segment + 1
        path = segment_path(self._folder, self._prefix, number)
        # What an append that failed could not remove is cut off.
        descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(descriptor, data, 0)
            os.fdatasync(descriptor)
            sync_folder(self._folder)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self.close()
        self._descriptor = descriptor
        self._failure = ""
        self._is_over = False
        self._position = Position(number, len(data))

    def _continue(self, number: int, size: int) -> None:
        """Goes on behind `size` bytes of a segment that is there."""
        path = segment_path(self._folder, self._prefix, number)
        descriptor = open_regular(path, os.O_RDWR)
        try:
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, size)
            # Lines that were written, and killed before their fsync, count from here on.
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._position = Position(number, size)

    def _repair(self, number: int, check: Check, acknowledged: Position) -> int:
        """The bytes of the segment that are sound; what is behind them is noted as cut off."""
        path = segment_path(self._folder, self._prefix, number)
        size = 0
        for line in read_lines(path):
            problem = line.problem or check(line.data)
            if not problem:
                size = line.end
                continue
            if problem != NO_END and Position(number, line.offset) < acknowledged:
                raise ArtifactCorrupt(
                    f"{path} line {line.number}: {problem}; restore the file, or move the folder "
                    "aside to begin a new log"
                )
            self.repairs.append(self._measure(path, line))
            break
        return size

    def _measure(self, path: Path, first: Line) -> Repair:
        lines = sum(1 for _ in read_lines(path, start=first.offset))
        end = path.stat().st_size
        return Repair(path.name, first.number, lines, end - first.offset)

    def _name(self, number: int) -> str:
        return segment_path(self._folder, self._prefix, number).name
