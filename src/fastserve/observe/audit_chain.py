"""The chain of hashes: each record follows from the one before it, or the reason why not."""

from typing import Final

import msgspec

from fastserve.observe.audit_record import (
    CHECKPOINT,
    GENESIS,
    DamagedRecord,
    Record,
    is_made_with,
    parse_record,
)


class Head(msgspec.Struct, frozen=True):
    """The last record: how many there are, and the hash that binds them all."""

    seq: int = 0
    hash: str = GENESIS


START: Final = Head()


class Chain:
    """Takes the lines of a log in order. Without `head` it begins wherever the first line does.

    With `key` every record must carry a MAC of it.
    """

    def __init__(self, head: Head | None = START, key: bytes | None = None) -> None:
        self._head = head
        self._key = key
        # Of the last checkpoint; 0 before the first.
        self.checkpoint_seq = 0
        # The last record carries a MAC.
        self.is_signed = False

    @property
    def head(self) -> Head:
        return self._head or START

    @property
    def has_key(self) -> bool:
        return self._key is not None

    def follow(self, line: bytes) -> Record:
        """The record on the next line. Errors: DamagedRecord; the chain stays where it was."""
        record = parse_record(line)
        if self._head is not None:
            _check_link(self._head, record)
        if self._key is not None and not is_made_with(self._key, line):
            raise DamagedRecord(
                f"is a record {record.seq} that was not made with this key: somebody else wrote "
                "it, or the log has another key"
            )
        if record.action == CHECKPOINT:
            self.checkpoint_seq = record.seq
        self.is_signed = bool(record.mac)
        self._head = Head(record.seq, record.hash)
        return record


def _check_link(head: Head, record: Record) -> None:
    expected = head.seq + 1
    if record.seq > expected:
        raise DamagedRecord(
            f"is record {record.seq} where record {expected} is expected: "
            f"{record.seq - expected} deleted before it, or it was moved here"
        )
    if record.seq < expected:
        raise DamagedRecord(
            f"is record {record.seq} where record {expected} is expected: "
            "it was inserted, repeated or moved here"
        )
    if record.prev != head.hash:
        raise DamagedRecord(
            f"is a record {record.seq} that does not follow from the one before it: "
            "one of the two was replaced"
        )
