"""Finds the raw outputs in the bytes of a large answer, so that they are viewed and not copied.

protobuf copies a `bytes` field twice on its way to Python: into the message and out of it. A walk
over the top-level fields finds the same bytes where they lie. What the walk does not understand is
left to protobuf, whose verdict on a damaged message counts.
"""

from typing import Final

# Below this protobuf's copies cost less than the walk.
MIN_BYTES: Final = 64 * 1024

_RAW_TAG: Final = 0x32  # field 6, raw_output_contents, length-delimited
_LENGTH_DELIMITED: Final = 2


def split_raw_contents(data: bytes) -> tuple[bytes, list[memoryview]] | None:
    """The message without its raw outputs, and views of these; None when protobuf must read all."""
    view = memoryview(data)
    rest: list[memoryview] = []
    raw: list[memoryview] = []
    at = 0
    end = len(data)
    try:
        while at < end:
            start = at
            tag, at = _read_varint(data, at)
            if tag & 7 != _LENGTH_DELIMITED:
                return None
            length, at = _read_varint(data, at)
            if length > end - at:
                return None
            if tag == _RAW_TAG:
                raw.append(view[at : at + length])
            else:
                rest.append(view[start : at + length])
            at += length
    except IndexError:
        return None
    return b"".join(rest), raw


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number and the place after it. Raises IndexError at the end of the data."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
            return value, at
    raise IndexError
