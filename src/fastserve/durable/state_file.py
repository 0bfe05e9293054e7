"""Small state in one file: framed with a format, a length and a hash, the last generation kept.

A file is one header line and a body of JSON that people can read:

    fastserve-state 1 <bytes of the body> <SHA-256 of the body>
    { ... }

A write moves a sound `name` to `name.1` and puts the new one in its place. A read takes `name`, or
`name.1` when the first is damaged or absent, and says what it passed over.

Thread: any, one writer at a time; every function waits for the disk.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from fastserve.decoding import decoder
from fastserve.durable.replacement import open_regular, replace_file
from fastserve.errors import ArtifactCorrupt, Unsupported

FORMAT: Final = 1
MAX_STATE_BYTES: Final = 64 << 20

_HEADER = re.compile(rb"fastserve-state ([0-9]{1,9}) ([0-9]{1,12}) ([0-9a-f]{64})\n")
_MAX_HEADER_BYTES: Final = 128

T = TypeVar("T")


class State(msgspec.Struct, Generic[T], frozen=True):
    """What was found. `value` is None when there is no state yet; `skipped` are passed-over files.

    Each of `skipped` is one line for people: the file and what is wrong with it.
    """

    value: T | None = None
    skipped: tuple[str, ...] = ()


def write_state(path: Path, value: Any) -> None:
    """`read_state` gives `value`, also after a crash, when this returns.

    Errors: OSError, the state is then the one before; Unsupported when the file was written by a
    newer fastserve.
    """
    body = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    digest = hashlib.sha256(body).hexdigest()
    try:
        _read_body(path)
    except (FileNotFoundError, ArtifactCorrupt):
        # A damaged file must not push out the sound one before it.
        pass
    else:
        path.rename(_previous(path))
    replace_file(path, f"fastserve-state {FORMAT} {len(body)} {digest}\n".encode() + body)


def read_state(path: Path, kind: type[T]) -> State[T]:
    """The newest sound state as a `kind`.

    Errors: ArtifactCorrupt when there are files and none is sound; Unsupported when one was written
    by a newer fastserve, whose state an older generation would undo; OSError.
    """
    skipped: list[str] = []
    for candidate in (path, _previous(path)):
        try:
            body = _read_body(candidate)
            return State(decoder(kind).decode(body), tuple(skipped))
        except FileNotFoundError:
            continue
        except ArtifactCorrupt as error:
            skipped.append(error.message)
        except msgspec.ValidationError as error:
            skipped.append(f"{candidate.name}: {error}")
    if skipped:
        raise ArtifactCorrupt(
            f"no sound state in {str(path.parent)!r}: {'; '.join(skipped)}; restore the file, or "
            "move it aside to begin without"
        )
    return State()


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _read_body(path: Path) -> bytes:
    """Errors: FileNotFoundError, ArtifactCorrupt, Unsupported."""
    with os.fdopen(open_regular(path), "rb") as file:
        header = file.readline(_MAX_HEADER_BYTES)
        match = _HEADER.fullmatch(header)
        if match is None or int(match[1]) < 1:
            raise ArtifactCorrupt(f"{path.name}: does not begin with the header of a state file")
        if int(match[1]) > FORMAT:
            raise Unsupported(
                f"{path.name}: has format {int(match[1])}, this fastserve knows {FORMAT}: "
                "it was written by a newer one"
            )
        length = int(match[2])
        if length > MAX_STATE_BYTES:
            raise ArtifactCorrupt(
                f"{path.name}: states {length} bytes, more than {MAX_STATE_BYTES}"
            )
        body = file.read(length + 1)
    if len(body) != length:
        got = "more" if len(body) > length else f"{len(body)}"
        raise ArtifactCorrupt(f"{path.name}: states {length} bytes and has {got}")
    if hashlib.sha256(body).hexdigest().encode() != match[3]:
        raise ArtifactCorrupt(f"{path.name}: its SHA-256 does not fit its content")
    return body
