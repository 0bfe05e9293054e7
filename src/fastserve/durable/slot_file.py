"""One small record that is rewritten in place: two slots, written in turn, the newest sound counts.

For what changes at every append of a log, where a new file each time would cost four times as much
and would fail on a full disk: the bytes of both slots are there from the beginning.

A slot is one line of 512 bytes, a disk's sector: a CRC-32, a running number, the payload, spaces.

Thread: any, one at a time; every function waits for the disk.
"""

import os
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from fastserve.durable.replacement import open_regular, replace_file, write_all
from fastserve.errors import ArtifactCorrupt

SLOT_BYTES: Final = 512
_COUNT_DIGITS: Final = 20
_CRC_DIGITS: Final = 8
MAX_PAYLOAD_BYTES: Final = SLOT_BYTES - _COUNT_DIGITS - _CRC_DIGITS - 3


class _Slot(NamedTuple):
    number: int
    payload: bytes


class SlotFile:
    """The file at `path`, made with `payload` if it is not there. Call `close` at the end.

    Payloads are printable ASCII of at most MAX_PAYLOAD_BYTES. Errors: OSError, ArtifactCorrupt.
    """

    def __init__(self, path: Path, payload: bytes) -> None:
        if not path.exists():
            replace_file(path, _encode(_Slot(1, payload)) + _encode(_Slot(0, payload)))
        self._newest = _read(path)
        self._descriptor = open_regular(path, os.O_RDWR)

    @property
    def payload(self) -> bytes:
        """As last written."""
        return self._newest.payload

    def write(self, payload: bytes) -> None:
        """`payload` is durable when this returns. Errors: OSError; the one before is then kept."""
        slot = _Slot(self._newest.number + 1, payload)
        # Never over the newest: a write that is torn leaves the other slot.
        write_all(self._descriptor, _encode(slot), (slot.number + 1) % 2 * SLOT_BYTES)
        os.fdatasync(self._descriptor)
        self._newest = slot

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_slots(path: Path) -> bytes:
    """The newest payload. Errors: FileNotFoundError; ArtifactCorrupt when no slot is sound."""
    return _read(path).payload


def _read(path: Path) -> _Slot:
    with os.fdopen(open_regular(path), "rb") as file:
        data = file.read(2 * SLOT_BYTES + 1)
    slots = [_decode(data[:SLOT_BYTES]), _decode(data[SLOT_BYTES:])]
    sound = [slot for slot in slots if slot is not None]
    if not sound:
        raise ArtifactCorrupt(f"{path.name}: neither of its two slots is sound")
    return max(sound)


def _encode(slot: _Slot) -> bytes:
    if len(slot.payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"{len(slot.payload)} bytes, a slot holds {MAX_PAYLOAD_BYTES}")
    counted = b"%0*d " % (_COUNT_DIGITS, slot.number) + slot.payload
    text = b"%08x " % zlib.crc32(counted) + counted
    return text.ljust(SLOT_BYTES - 1) + b"\n"


def _decode(data: bytes) -> _Slot | None:
    if len(data) != SLOT_BYTES:
        return None
    counted = data[_CRC_DIGITS + 1 : -1].rstrip(b" ")
    try:
        slot = _Slot(int(counted[:_COUNT_DIGITS]), counted[_COUNT_DIGITS + 1 :])
    except ValueError:
        return None
    # Encoded again, so that nothing but what was written counts as sound.
    return slot if _encode(slot) == data else None
