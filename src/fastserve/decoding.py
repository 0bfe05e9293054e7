"""msgspec's decoding, for several threads.

msgspec finds out about a Struct when it is first decoded. A second thread that meets the type in
that moment reads what is not there yet, and the process dies (msgspec 0.22: a segmentation fault).
So types are made known one at a time, before anything is decoded as one.

Thread: any.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")

_MAKING_KNOWN = threading.Lock()
_DECODERS: dict[Any, Any] = {}


def decoder(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    """Of JSON. Errors of its `decode`: msgspec.DecodeError, UnicodeDecodeError, RecursionError."""
    found: msgspec.json.Decoder[_T] | None = _DECODERS.get(kind)
    if found is None:
        with _MAKING_KNOWN:
            found = _DECODERS[kind] = msgspec.json.Decoder(kind)
    return found


def convert_plain(
    value: object, kind: type[_T], *, dec_hook: Callable[[type, Any], Any] | None = None
) -> _T:
    """What TOML and JSON give, as a `kind`. Errors: msgspec.ValidationError."""
    decoder(kind)
    return msgspec.convert(value, kind, dec_hook=dec_hook)
