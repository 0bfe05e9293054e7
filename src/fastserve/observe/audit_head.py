"""The head file: what the log ended with when it last said "written".

Without it a log from which the newest records were cut looks whole. With a key it carries a MAC:
one that fits a rewritten log cannot be made without the key. An older one can be put back.
"""

import hmac
from pathlib import Path
from typing import Final

import msgspec

from fastserve.decoding import decoder
from fastserve.durable.segment import Position
from fastserve.durable.slot_file import SlotFile, read_slots
from fastserve.errors import ArtifactCorrupt
from fastserve.observe.audit_chain import START, Head
from fastserve.observe.audit_record import mac_of

HEAD_FILE: Final = "head"


class StoredHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head and the position behind its record."""

    seq: int = START.seq
    hash: str = START.hash
    segment: int = 0
    offset: int = 0
    mac: str = ""

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash)

    @property
    def position(self) -> Position:
        return Position(self.segment, self.offset)

    def is_made_with(self, key: bytes) -> bool:
        return hmac.compare_digest(self.mac.encode(), _mac(key, self).encode())


class HeadFile:
    """The file in `folder`, made for an empty log if it is not there. Call `close` at the end.

    Thread: any, one at a time. Errors: OSError, ArtifactCorrupt.
    """

    def __init__(self, folder: Path, key: bytes | None) -> None:
        self._key = key
        self._slots = SlotFile(folder / HEAD_FILE, self._encode(START, Position()))

    def write(self, head: Head, position: Position) -> None:
        """Durable when this returns. Errors: OSError."""
        self._slots.write(self._encode(head, position))

    def close(self) -> None:
        self._slots.close()

    def _encode(self, head: Head, position: Position) -> bytes:
        stored = StoredHead(head.seq, head.hash, position.segment, position.offset)
        if self._key is not None:
            stored = msgspec.structs.replace(stored, mac=_mac(self._key, stored))
        return msgspec.json.encode(stored)


def read_head(folder: Path) -> StoredHead | None:
    """None when there is no head file. Errors: ArtifactCorrupt, OSError."""
    try:
        return decoder(StoredHead).decode(read_slots(folder / HEAD_FILE))
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ArtifactCorrupt(f"{HEAD_FILE}: {error}") from None


def _mac(key: bytes, stored: StoredHead) -> str:
    return mac_of(key, msgspec.json.encode(msgspec.structs.replace(stored, mac="")))
