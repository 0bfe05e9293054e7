"""RepositoryModelLoad's request, its files left where they lie.

A file may have hundreds of megabytes. Protobuf copies it to parse it, and once more to hand it out,
each time with the interpreter's lock held: health checks and all other calls wait as long. So the
bytes of files are taken out first, as views, and protobuf parses the rest, which is small.

Source: protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from google.protobuf.message import DecodeError

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidTensor
from fastserve.rpc.method_table import Received
from fastserve.rpc.varint import read_varint, varint_bytes

FILE_PREFIX: Final = "file:"
MAX_FIELDS: Final = 4096
MAX_REST_BYTES: Final = 1 << 20

# Field number and wire type, in one byte.
_PARAMETER: Final = 0x1A
_KEY: Final = 0x0A
_VALUE: Final = 0x12
_BYTES_PARAM: Final = 0x22
# A value that holds bytes, of which there are none.
_NO_BYTES: Final = bytes((_VALUE, 2, _BYTES_PARAM, 0))

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


class LoadRequest(msgspec.Struct, frozen=True):
    """`files`: the bytes of parameters `file:...`, by their keys; empty in `message`."""

    message: pb.RepositoryModelLoadRequest
    files: dict[str, memoryview]


class _Field(NamedTuple):
    tag: int
    # Of the value, and of the field with its tag.
    value: memoryview
    whole: memoryview


def read_load_request(data: Received) -> LoadRequest:
    """Copies nothing that is large. Errors: DecodeError; InvalidTensor beyond the limits."""
    rest = bytearray()
    files: dict[str, memoryview] = {}
    for count, field in enumerate(_fields(memoryview(data))):
        if count == MAX_FIELDS:
            raise InvalidTensor(f"more than {MAX_FIELDS} parameters")
        file = _file(field.value) if field.tag == _PARAMETER else None
        if file is None:
            piece: Received = field.whole
        else:
            key, content = file
            files[_text(key.value)] = content
            entry = bytes(key.whole) + _NO_BYTES
            piece = bytes((_PARAMETER,)) + varint_bytes(len(entry)) + entry
        if len(rest) + len(piece) > MAX_REST_BYTES:
            raise InvalidTensor(
                f"a load has more than {MAX_REST_BYTES} bytes beside its files: they are for the "
                "configuration, and files are parameters file:<version>/<name>"
            )
        rest += piece
    return LoadRequest(pb.RepositoryModelLoadRequest.FromString(bytes(rest)), files)


def _file(entry: memoryview) -> tuple[_Field, memoryview] | None:
    """The key and the bytes of a parameter that is a file, as every serializer writes it."""
    fields = _few_fields(entry, 2)
    if [field.tag for field in fields] != [_KEY, _VALUE]:
        return None
    key, value = fields
    if bytes(key.value[: len(FILE_PREFIX)]) != FILE_PREFIX.encode():
        return None
    chosen = _few_fields(value.value, 1)
    if [field.tag for field in chosen] != [_BYTES_PARAM]:
        return None
    return key, chosen[0].value


def _few_fields(data: memoryview, most: int) -> list[_Field]:
    """All of them; one more than `most` when there are more."""
    found: list[_Field] = []
    for field in _fields(data):
        found.append(field)
        if len(found) > most:
            break
    return found


def _fields(data: memoryview) -> Iterator[_Field]:
    position = 0
    while position < len(data):
        tag, begin = read_varint(data, position)
        wire_type = tag & 7
        if wire_type == _LENGTH:
            length, begin = read_varint(data, begin)
            end = begin + length
        elif wire_type == _VARINT:
            _, end = read_varint(data, begin)
        elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
            end = begin + (8 if wire_type == _EIGHT_BYTES else 4)
        else:
            raise DecodeError(f"wire type {wire_type}")
        if end > len(data):
            raise DecodeError("truncated")
        yield _Field(tag, data[begin:end], data[position:end])
        position = end


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise DecodeError("a key that is no UTF-8") from None
