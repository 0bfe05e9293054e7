"""The audit log's writing half: chains records, puts them into the files, keeps the head file.

Thread: any, one at a time; everything here waits for the disk.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fastserve.durable.line_log import Ending, LineLog, Repair
from fastserve.durable.segment import Position, list_segments
from fastserve.errors import ArtifactCorrupt, InvalidConfig
from fastserve.observe.audit_chain import START, Chain, Head
from fastserve.observe.audit_folder import PREFIX
from fastserve.observe.audit_head import HEAD_FILE, HeadFile, StoredHead, read_head
from fastserve.observe.audit_record import (
    CHECKPOINT,
    LOST,
    REMOVED,
    REPAIRED,
    AuditEvent,
    DamagedRecord,
    encode_event,
    encode_record,
)
from fastserve.observe.audit_retention import (
    Removal,
    Retention,
    find_removal,
    plan_removal,
    remove_segments,
    unix_seconds,
)

OWN_ACTOR: Final = "fastserve"


class Entry(msgspec.Struct, frozen=True):
    """An encoded event, and when it happened."""

    event: str
    unix_seconds: float


class Loss(msgspec.Struct, frozen=True):
    """Records that could not be written since the last ones that were, and why."""

    records: int = 0
    reason: str = ""


class AuditWriter:
    """Opens the log in `folder` and repairs its tail. Call `close` at the end.

    Errors: InvalidConfig when the key is not the one that the log was begun with; ArtifactCorrupt
    for damage that is not a torn tail; OSError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        key: bytes | None,
        segment_bytes: int,
        checkpoint_records: int,
        retention: Retention,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._key = key
        self._retention = retention
        self._checkpoint_records = checkpoint_records
        self._clock = clock
        stored = _read_stored(folder, key)
        newest = _NewestSegment(folder, stored, key)
        self._log = LineLog(
            folder,
            PREFIX,
            newest.check,
            segment_bytes=segment_bytes,
            acknowledged=stored.position,
        )
        try:
            self._head_file = HeadFile(folder, key)
        except BaseException:
            self._log.close()
            raise
        self._head = newest.chain.head
        self._segment_began = newest.began
        self._checkpoint_seq = newest.chain.checkpoint_seq
        self.repairs: Sequence[Repair] = self._log.repairs
        # Acknowledged before, and not there any more.
        self.missing_records = max(0, stored.seq - self._head.seq)
        self._notice = self._repair_notice(stored)
        # Why nothing is removed, where something should be; empty when all is well.
        self.retention_problem = ""
        # The last one in the log; the one that waits for its record; one whose files are to go.
        self._removed: Removal | None = None
        self._due: Removal | None = None
        self._unfinished: Removal | None = None
        self._plan()
        self._unfinished = self._removed

    @property
    def head(self) -> Head:
        return self._head

    @property
    def position(self) -> Position:
        """Behind the record of `head`."""
        return self._log.position

    @property
    def has_notice(self) -> bool:
        """The next records begin with one about the repair; `append` of nothing writes it."""
        return self._notice is not None

    @property
    def has_removal(self) -> bool:
        """Old segments are to go; `append` of nothing writes the record of it."""
        return self._due is not None

    def append(self, entries: Sequence[Entry], loss: Loss) -> list[Head]:
        """The head behind each entry; all are durable. Errors: OSError, and then none is written.

        `loss` becomes a record before them.
        """
        now = self._clock()
        draft = _Draft(self._head, self._checkpoint_seq, self._key, now)
        if 0 < self._retention.segment_seconds <= now - self._segment_began:
            self._log.end_segment()
        if ending := self._log.ending:
            draft.add_checkpoint(ending)
            self._plan()
        if self._notice is not None:
            draft.add_own(self._notice)
        if loss.records:
            draft.add_own(_loss_event(loss))
        heads = []
        for entry in entries:
            heads.append(draft.add(entry))
            if draft.head.seq - draft.checkpoint_seq >= self._checkpoint_records:
                draft.add_checkpoint(None)
        if self._due is not None:
            draft.add_own(_removal_event(self._due))
        is_first = self._log.position.segment == 0
        self._log.append(draft.lines)
        if ending or is_first:
            self._segment_began = now
        self._head, self._checkpoint_seq = draft.head, draft.checkpoint_seq
        self._notice = None
        if self._due is not None:
            self._removed = self._unfinished = self._due
            self._due = None
        return heads

    def remove_old(self) -> None:
        """The files that the log says are removed are gone when this returns. Errors: OSError."""
        if self._unfinished is not None:
            remove_segments(self._folder, self._unfinished)
            self._unfinished = None

    def write_head(self) -> None:
        """The head file knows the newest record when this returns. Errors: OSError."""
        self._head_file.write(self._head, self._log.position)

    def close(self) -> None:
        self._log.close()
        self._head_file.close()

    def _plan(self) -> None:
        """What is to go, to be recorded with the next records."""
        self.retention_problem = ""
        if self._retention == Retention():
            return
        try:
            self._removed = self._removed or find_removal(self._folder)
            self._due = plan_removal(self._folder, self._retention, self._removed, self._clock())
        except (ArtifactCorrupt, OSError) as error:
            self.retention_problem = str(error)

    def _repair_notice(self, stored: StoredHead) -> AuditEvent | None:
        if not self.repairs and not self.missing_records:
            return None
        found = {"seq": self._head.seq, "hash": self._head.hash, "missing": self.missing_records}
        cut = [msgspec.to_builtins(repair) for repair in self.repairs]
        return AuditEvent(
            action=REPAIRED,
            actor=OWN_ACTOR,
            origin="automatic",
            before={"seq": stored.seq, "hash": stored.hash},
            after={**found, "cut": cut},
            reason=(
                "acknowledged records were missing when the log was opened"
                if self.missing_records
                else "the last write was cut off by a crash; nothing acknowledged is missing"
            ),
        )


class _NewestSegment:
    """Checks what a start reads: the newest segment alone."""

    def __init__(self, folder: Path, stored: StoredHead, key: bytes | None) -> None:
        is_first = list_segments(folder, PREFIX)[-1:] in ([], [1])
        self.chain = Chain(START if is_first else None, key)
        # When its first record was written.
        self.began = 0.0
        self._stored = stored

    def check(self, line: bytes) -> str:
        try:
            record = self.chain.follow(line)
        except DamagedRecord as error:
            return str(error)
        self.began = self.began or unix_seconds(record)
        if record.seq == self._stored.seq and record.hash != self._stored.hash:
            return "was rewritten: the head file has another hash for this record"
        return ""


class _Draft:
    """Lines that continue the chain, as long as nobody has written them."""

    def __init__(
        self, head: Head, checkpoint_seq: int, key: bytes | None, unix_seconds: float
    ) -> None:
        self.head = head
        self.checkpoint_seq = checkpoint_seq
        self.lines: list[bytes] = []
        self._key = key
        self._unix_seconds = unix_seconds

    def add(self, entry: Entry) -> Head:
        seq = self.head.seq + 1
        line, digest = encode_record(
            entry.event,
            seq=seq,
            unix_seconds=entry.unix_seconds,
            prev=self.head.hash,
            key=self._key,
        )
        self.lines.append(line)
        self.head = Head(seq, digest)
        return self.head

    def add_own(self, event: AuditEvent) -> None:
        self.add(Entry(encode_event(event), self._unix_seconds))

    def add_checkpoint(self, ending: Ending | None) -> None:
        """With `ending` it begins a segment, and says how much of the one before belongs to us."""
        after: dict[str, Any] = {"records": self.head.seq, "head": self.head.hash}
        if ending is not None:
            after |= msgspec.to_builtins(ending)
        self.add_own(
            AuditEvent(action=CHECKPOINT, actor=OWN_ACTOR, origin="automatic", after=after)
        )
        self.checkpoint_seq = self.head.seq


def _read_stored(folder: Path, key: bytes | None) -> StoredHead:
    """The head file's, or that of an empty log."""
    stored = read_head(folder)
    if stored is None:
        if list_segments(folder, PREFIX):
            raise ArtifactCorrupt(
                f"audit log {str(folder)!r}: the file {HEAD_FILE!r} is missing, so records cut off "
                "the end could not be noticed; restore it, or move the folder aside to begin a new "
                "log"
            )
        return StoredHead()
    # A log that changed its key would vouch for records that were written without it.
    if bool(stored.mac) != (key is not None):
        has, wants = ("a", "give that") if stored.mac else ("no", "start without")
        raise InvalidConfig(
            f"audit log {str(folder)!r} was begun with {has} key: {wants} key, or move the folder "
            "aside to begin a new log"
        )
    if key is not None and not stored.is_made_with(key):
        raise InvalidConfig(
            f"audit log {str(folder)!r}: the file {HEAD_FILE!r} was not made with this key; give "
            "the key that the log was begun with, or, if this is it, the log was tampered with: "
            "move the folder aside to begin a new one"
        )
    return stored


def _removal_event(removal: Removal) -> AuditEvent:
    return AuditEvent(
        action=REMOVED,
        actor=OWN_ACTOR,
        origin="automatic",
        after=msgspec.to_builtins(removal),
        reason="older than is kept, or more",
    )


def _loss_event(loss: Loss) -> AuditEvent:
    return AuditEvent(
        action=LOST,
        actor=OWN_ACTOR,
        origin="automatic",
        after={"records": loss.records},
        reason=f"could not be written before: {loss.reason}",
        outcome="failed",
    )
