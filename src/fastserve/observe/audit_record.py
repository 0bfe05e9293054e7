"""One line of the audit log: what an operator or the server changed, and the hash that binds it.

A record is one JSON object in printable ASCII, without spaces between its parts, its fields in this
order:

    seq time actor origin peer action target before after reason outcome prev [mac] hash

`prev` is the hash of the record before. `hash` is SHA-256 over the line's own bytes with the field
`hash` taken out, so it binds every byte of the record and, through `prev`, of all before it. In a
log that has a key, `mac` is HMAC-SHA256 over the bytes without `mac` and `hash`. What is hashed is
what is in the file: nothing depends on how a library writes JSON.
"""

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from fastserve.config import read_regular_file
from fastserve.decoding import decoder
from fastserve.errors import InvalidConfig

# The hash before the first record.
GENESIS: Final = "0" * 64

CHECKPOINT: Final = "audit.checkpoint"
LOST: Final = "audit.lost"
REMOVED: Final = "audit.removed"
REPAIRED: Final = "audit.repaired"

MAX_TEXT_CHARACTERS: Final = 2_000
MAX_VALUE_CHARACTERS: Final = 16_000
_MIN_KEY_BYTES: Final = 16
_MAX_KEY_BYTES: Final = 4_096


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change as it is reported.

    `origin` says whether a person or a program asked for it (then `peer` is where from) or the
    server decided by itself. `version` 0: the model as a whole. `before` and `after` are anything
    that JSON can say; texts and values beyond a bound are cut.
    """

    action: str
    actor: str
    origin: Literal["operator", "automatic"]
    peer: str = ""
    model: str = ""
    version: int = 0
    before: Any = None
    after: Any = None
    reason: str = ""
    outcome: Literal["ok", "refused", "failed"] = "ok"


class Target(msgspec.Struct, frozen=True):
    """What was changed; an empty model is the server."""

    model: str
    version: int


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One record as it was read. `before` and `after` are their JSON."""

    seq: int
    time: str
    actor: str
    origin: str
    peer: str
    action: str
    target: Target
    before: msgspec.Raw
    after: msgspec.Raw
    reason: str
    outcome: str
    prev: str
    hash: str
    mac: str = ""


class DamagedRecord(ValueError):  # noqa: N818 - as in fastserve.errors, the name says what is wrong
    """A line that is not a record, or not the one that was written; says why."""


def encode_event(event: AuditEvent) -> str:
    """The part of a record that the event decides. Never fails: what JSON lacks becomes text."""
    fields = {
        "actor": _text(event.actor),
        "origin": _text(event.origin),
        "peer": _text(event.peer),
        "action": _text(event.action),
        "target": {"model": _text(event.model), "version": event.version},
        "before": _value(event.before),
        "after": _value(event.after),
        "reason": _text(event.reason),
        "outcome": _text(event.outcome),
    }
    return _json(fields)[1:-1]


def encode_record(
    event: str, *, seq: int, unix_seconds: float, prev: str, key: bytes | None = None
) -> tuple[bytes, str]:
    """(line, its hash) for what `encode_event` gave. With `key` the record carries a MAC."""
    when = datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds")
    time = when.replace("+00:00", "Z")
    body = f'{{"seq":{seq},"time":"{time}",{event},"prev":"{prev}"'
    if key is not None:
        body += f',"mac":"{mac_of(key, f"{body}}}".encode())}"'
    digest = hashlib.sha256(f"{body}}}".encode()).hexdigest()
    return f'{body},"hash":"{digest}"}}'.encode(), digest


_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_MAC = re.compile(rb',"mac":"([0-9a-f]{64})"\}')
_HASH_BYTES: Final = len(',"hash":""}') + 64
_MAC_BYTES: Final = len(',"mac":""}') + 64


def parse_record(line: bytes) -> Record:
    """The record that was written as `line`, byte for byte. Errors: DamagedRecord."""
    match = _HASH.fullmatch(line[-_HASH_BYTES:])
    if match is None:
        raise DamagedRecord("is not a record: does not end with its hash")
    if hashlib.sha256(line[:-_HASH_BYTES] + b"}").hexdigest().encode() != match[1]:
        raise DamagedRecord("was changed: its hash does not fit its content")
    try:
        return decoder(Record).decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedRecord(f"is not a record: {error}") from None


def is_made_with(key: bytes, line: bytes) -> bool:
    """The line carries a MAC of `key` over the rest of it."""
    signed = line[:-_HASH_BYTES] + b"}"
    match = _MAC.fullmatch(signed[-_MAC_BYTES:])
    if match is None:
        return False
    expected = mac_of(key, signed[:-_MAC_BYTES] + b"}").encode()
    return hmac.compare_digest(expected, match[1])


def mac_of(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def read_key(path: Path) -> bytes:
    """The key in a file, without the line ends behind it. Errors: InvalidConfig."""
    name = f"key file {str(path)!r}"
    key = read_regular_file(path, name=name, max_bytes=_MAX_KEY_BYTES).rstrip(b"\r\n")
    if len(key) < _MIN_KEY_BYTES:
        raise InvalidConfig(
            f"{name}: holds {len(key)} bytes, expected {_MIN_KEY_BYTES} or more; make one with: "
            "head -c 32 /dev/urandom | base64"
        )
    return key


def _json(value: Any) -> str:
    # ASCII alone: no text can fake a line or drive the terminal of who reads the file. JSON itself
    # leaves DEL as it is.
    text = json.dumps(value, separators=(",", ":"), default=str, allow_nan=False)
    return text.replace("\x7f", "\\u007f")


def _text(value: object) -> str:
    # Half of a surrogate pair has no form in UTF-8, and readers of JSON refuse it.
    text = str(value).encode(errors="replace").decode()
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    return f"{text[:MAX_TEXT_CHARACTERS]}... ({len(text)} characters)"


def _value(value: Any) -> Any:
    try:
        text = _json(value)
        # Read back: what our own reader would refuse is not written.
        msgspec.json.decode(text)
    except (ValueError, TypeError, RecursionError):
        return _text(value)
    if len(text) <= MAX_VALUE_CHARACTERS:
        return value
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"cut": text[:MAX_TEXT_CHARACTERS], "characters": len(text), "sha256": digest}
