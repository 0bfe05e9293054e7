"""The audit log: every change to what is served, by an operator or by the server itself.

Serving never waits for it and never fails because of it. A record that could not be written is
counted and logged, and as soon as the log can be written to again, it says itself how many it
lacks.

One thread chains records in the order of their submission, those that wait together with one fsync,
then brings the head file up to date, and only then acknowledges them. The order of records is
`seq`; times are for people.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from fastserve.durable.folder_lock import FolderLock
from fastserve.durable.group_writer import GroupWriter
from fastserve.durable.replacement import sync_folder
from fastserve.durable.segment import Position
from fastserve.observe.audit_chain import Head
from fastserve.observe.audit_folder import of_model, read_between, read_records
from fastserve.observe.audit_record import AuditEvent, encode_event
from fastserve.observe.audit_retention import Retention
from fastserve.observe.audit_verification import Verification, verify_folder
from fastserve.observe.audit_writer import AuditWriter, Entry, Loss
from fastserve.observe.logs import get_logger

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["AuditEvent", "AuditLog", "Head", "Verification"]

KEEP_ALL: Final = Retention()
CHECKPOINT_RECORDS: Final = 256
MAX_QUEUED_BYTES: Final = 16 << 20
CLOSE_SECONDS: Final = 10.0
# What a follower gets in one step from the thread that reads for it.
LINES_AT_ONCE: Final = 256

_log = get_logger("audit")


class AuditLog:
    """The log in a folder of its own, held by this process. Made by `open`, ended by `close`.

    Thread: any, where a method says nothing else.
    """

    def __init__(
        self,
        folder: Path,
        lock: FolderLock,
        writer: AuditWriter,
        *,
        key: bytes | None,
        max_queued_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._writer = writer
        self._key = key
        self._clock = clock
        self._head = writer.head
        self._position = writer.position
        # Guards the counters: callers and the writer's thread both change them.
        self._counting = threading.Lock()
        self._loss = Loss()
        self._lost_records = 0
        self._write_errors = 0
        self._followers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._is_following = True
        self._thread: GroupWriter[Entry, Head] = GroupWriter(
            self._commit, name="audit log", max_queued_bytes=max_queued_bytes
        )

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        key: bytes | None = None,
        retention: Retention = KEEP_ALL,
        segment_bytes: int | None = None,
        checkpoint_records: int = CHECKPOINT_RECORDS,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """The log in `folder`, made if it is not there, its tail repaired. Waits for the disk.

        `segment_bytes`: as `retention` has it, unless it is given.

        Errors: InvalidConfig when another process holds the folder, or the key is not the one that
        the log was begun with; ArtifactCorrupt for damage that is not a torn tail; OSError.
        """
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)
        lock = FolderLock(folder)
        try:
            writer = AuditWriter(
                folder,
                key=key,
                segment_bytes=segment_bytes or retention.segment_bytes,
                checkpoint_records=checkpoint_records,
                retention=retention,
                clock=clock,
            )
        except BaseException:
            lock.close()
            raise
        log = cls(folder, lock, writer, key=key, max_queued_bytes=max_queued_bytes, clock=clock)
        log._begin()
        return log

    @property
    def head(self) -> Head:
        """Of the last durable record."""
        return self._head

    @property
    def records(self) -> int:
        """In the log, from its beginning, those that were removed since included."""
        return self._head.seq

    @property
    def write_errors(self) -> int:
        """Failed writes since `open`, of records or of the head file."""
        return self._write_errors

    @property
    def lost_records(self) -> int:
        """Records since `open` that are not in the log."""
        return self._lost_records

    @property
    def position(self) -> Position:
        """Behind the last durable record."""
        return self._position

    async def append(self, event: AuditEvent) -> None:
        """The record is durable, or counted in `lost_records`, when this returns. Raises nothing.

        Either way the structured log gets one line. The record is written even if the caller is
        cancelled meanwhile.
        """
        entry = Entry(encode_event(event), self._clock())
        future = self._thread.submit(entry, len(entry.event))
        future.add_done_callback(lambda done: self._report(event, done))
        # The failure was reported; the caller goes on in any case.
        with contextlib.suppress(Exception):
            await asyncio.wrap_future(future)

    def read(self, last: int = 0, model: str = "", until: Position | None = None) -> Iterator[str]:
        """Raw lines of the `last` newest records (0: all), oldest first; of one `model`, if named.

        Those before `until`; without, those that were durable when this was called. Waits for the
        disk. Errors: OSError.
        """
        end = self._position if until is None else until
        return read_records(self._folder, end=end, last=last, model=model)

    async def follow(
        self, since: Position | None = None, model: str = ""
    ) -> AsyncGenerator[str, None]:
        """Raw lines of records as they become durable, until `stop_following`.

        From `since` on, from now on without. A slow reader costs no memory: lines are read from
        the files when it asks for them. Thread: an event loop's.
        """
        at = self._position if since is None else since
        changed = asyncio.Event()
        follower = (asyncio.get_running_loop(), changed)
        self._followers.add(follower)
        try:
            while True:
                changed.clear()
                is_following = self._is_following
                end = self._position
                lines = of_model(read_between(self._folder, at, end), model)
                while batch := await asyncio.to_thread(take_lines, lines):
                    for line in batch:
                        yield line
                at = end
                if not is_following:
                    return
                await changed.wait()
        finally:
            self._followers.discard(follower)

    def stop_following(self) -> None:
        """Ends every `follow`, those to come as well, after the records that are there."""
        self._is_following = False
        self._wake_followers()

    def verify(self, expected_head: str = "") -> Verification:
        """Reads all that was durable when this was called. Waits for the disk. Errors: OSError."""
        return verify_folder(
            self._folder,
            key=self._key,
            expected_head=expected_head,
            end=lambda: self._position,
        )

    def close(self) -> None:
        """Writes what waits, for at most CLOSE_SECONDS, and gives the folder back."""
        self.stop_following()
        if not self._thread.close(CLOSE_SECONDS):
            # The thread still uses the files: they go with the process.
            _log.error("audit log not closed", reason="the disk does not answer")
            return
        self._writer.close()
        self._lock.close()

    def _begin(self) -> None:
        """Says what opening found; a repair is recorded before anything else."""
        if self._writer.has_notice:
            _log.warning(
                "audit log repaired",
                folder=str(self._folder),
                cut=[f"{one.segment} line {one.line}" for one in self._writer.repairs],
                cut_bytes=sum(one.bytes for one in self._writer.repairs),
                missing_records=self._writer.missing_records,
            )
        if self._writer.has_notice or self._writer.has_removal:
            # On a full disk it stays the first record to be written.
            with contextlib.suppress(OSError):
                self._commit([])
        else:
            self._write_head()
            self._remove_old()
        _log.info("audit log open", folder=str(self._folder), **msgspec.to_builtins(self._head))

    def _commit(self, entries: Sequence[Entry]) -> list[Head]:
        """Runs on the writer's thread."""
        with self._counting:
            loss = self._loss
        try:
            heads = self._writer.append(entries, loss)
        except Exception:
            self._write_errors += 1
            raise
        with self._counting:
            # What was refused meanwhile is for the next time.
            self._loss = Loss(self._loss.records - loss.records, self._loss.reason)
        if loss.records:
            _log.warning("audit log written again", lost_records=loss.records)
        self._head, self._position = self._writer.head, self._writer.position
        self._write_head()
        self._wake_followers()
        self._remove_old()
        return heads

    def _write_head(self) -> None:
        try:
            self._writer.write_head()
        except OSError as error:
            # The records themselves are durable.
            self._write_errors += 1
            _log.error("audit head not written", reason=str(error))

    def _remove_old(self) -> None:
        try:
            self._writer.remove_old()
        except OSError as error:
            _log.error("old audit records not removed", reason=str(error))
        if problem := self._writer.retention_problem:
            # Until the next time that something should be removed.
            self._writer.retention_problem = ""
            _log.error("no audit records are removed", reason=problem)

    def _report(self, event: AuditEvent, done: "Future[Head]") -> None:
        """One line for each change, with the hash that vouches for all records up to it."""
        fields = msgspec.structs.asdict(event)
        # The reason's own name in the log is what explains a line.
        error = done.exception()
        if error is None:
            _log.info("change", **fields, **msgspec.to_builtins(done.result()))
            return
        with self._counting:
            self._lost_records += 1
            self._loss = Loss(self._loss.records + 1, str(error))
        _log.error("change not in the audit log", **fields, problem=str(error))

    def _wake_followers(self) -> None:
        for loop, changed in tuple(self._followers):
            # A loop that is closed has no followers left.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(changed.set)


def take_lines(lines: Iterator[str]) -> list[str]:
    """The next few; empty at the end. For a thread that reads for an event loop."""
    return list(islice(lines, LINES_AT_ONCE))
