"""Numbers as protobuf writes them: seven bits a byte, the lowest first.

Source: protobuf.dev/programming-guides/encoding
"""

from typing import Final

from google.protobuf.message import DecodeError

_MAX_BYTES: Final = 10


def read_varint(data: bytes | memoryview, place: int) -> tuple[int, int]:
    """The number at `place`, and where it ends. Errors: DecodeError."""
    number = 0
    for count, byte in enumerate(data[place : place + _MAX_BYTES]):
        number |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that another byte follows
            return number, place + count + 1
    raise DecodeError("no end of a number")


def varint_bytes(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
