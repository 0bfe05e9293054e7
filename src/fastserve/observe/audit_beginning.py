"""Where an audit log begins, and whether that is where retention left it."""

import msgspec

from fastserve.decoding import decoder
from fastserve.observe.audit_folder import Boundary
from fastserve.observe.audit_record import CHECKPOINT, GENESIS, DamagedRecord, Record
from fastserve.observe.audit_retention import Removal, removal_of


class Beginning:
    """Follows the records of a log from the first one that is there."""

    def __init__(self) -> None:
        self._first: Record | None = None
        self._removal: Removal | None = None

    @property
    def first(self) -> int:
        return self._first.seq if self._first is not None else 1

    @property
    def removal(self) -> Removal | None:
        """The last one so far."""
        return self._removal

    def follow(self, record: Record) -> None:
        """Errors: DamagedRecord when no log begins with this record."""
        if self._first is None:
            _check_beginning(record)
            self._first = record
        self._removal = removal_of(record) or self._removal

    @property
    def problem(self) -> str:
        """Known when the last record has been followed: it may be the one that says it."""
        if self._first is None or self._first.seq == 1:
            return ""
        missing = self._first.seq - 1
        if self._removal is None or self._removal.records < missing:
            said = 0 if self._removal is None else self._removal.records
            return (
                f"is record {self._first.seq}, and the log says that {said} before it were "
                f"removed: {missing - said} are missing"
            )
        # After a crash more may be left than is said.
        if self._removal.records == missing and self._removal.head != self._first.prev:
            return (
                f"is a record {self._first.seq} that does not follow from the last one that was "
                "removed"
            )
        return ""


def _check_beginning(record: Record) -> None:
    """Of a log: its very first record, or the checkpoint that segments begin with."""
    if record.seq == 1:
        if record.prev != GENESIS:
            raise DamagedRecord("is a record 1 that follows from another one")
        return
    try:
        boundary = decoder(Boundary).decode(record.after)
    except msgspec.DecodeError:
        boundary = None
    if record.action != CHECKPOINT or boundary is None:
        raise DamagedRecord(
            f"is record {record.seq} where record 1 is expected, or the checkpoint after those "
            "that were removed"
        )
    if (boundary.records, boundary.head) != (record.seq - 1, record.prev):
        raise DamagedRecord("is a checkpoint of other records than those before it")
