"""What a webhook sends: the body, its signature, and when to try again. Nothing here waits."""

import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fastserve import __version__

SIGNATURE_HEADER: Final = "Fastserve-Signature"
# Answers that another try may change: too slow, too early, too many, and the server's own faults.
_PASSING_STATUSES: Final = frozenset({408, 425, 429})
_FIRST_SUCCESS: Final = 200
_FIRST_REDIRECT: Final = 300
_FIRST_SERVER_FAULT: Final = 500


class Event(msgspec.Struct, frozen=True):
    """One thing to tell. `body` is what every attempt and every target gets, byte for byte."""

    id: str
    kind: str
    body: bytes


def make_event(event_id: str, kind: str, payload: Any, unix_seconds: float) -> Event:
    """Errors: TypeError for a payload that is not JSON."""
    body = msgspec.json.encode(
        {"id": event_id, "event": kind, "time": unix_seconds, "payload": payload}
    )
    return Event(event_id, kind, body)


def is_wanted(kind: str, wanted: tuple[str, ...]) -> bool:
    """`drift` stands for `drift` and all that begins with `drift.`; nothing stands for all."""
    return not wanted or any(kind == one or kind.startswith(f"{one}.") for one in wanted)


def headers_of(event: Event, secret: bytes | None, unix_seconds: float) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"fastserve/{__version__}",
        "Idempotency-Key": event.id,
        "Fastserve-Event": event.kind,
    }
    if secret is not None:
        headers[SIGNATURE_HEADER] = sign(event.body, secret, int(unix_seconds))
    return headers


def sign(body: bytes, secret: bytes, unix_seconds: int) -> str:
    """HMAC-SHA256 over time and body: neither an old delivery nor another body passes for it."""
    digest = hmac.digest(secret, b"%d." % unix_seconds + body, "sha256").hex()
    return f"t={unix_seconds},v1={digest}"


def is_delivered(status: int) -> bool:
    return _FIRST_SUCCESS <= status < _FIRST_REDIRECT


def may_pass(status: int) -> bool:
    """Whether another attempt may end better."""
    return status >= _FIRST_SERVER_FAULT or status in _PASSING_STATUSES


def pause_seconds(attempt: int, *, first: float, longest: float, chance: float) -> float:
    """Before the attempt after `attempt` (counted from 1): doubled each time, then a random part.

    `chance` in 0..1 takes between half of it and all: targets that failed together are not asked
    together again.
    """
    # Beyond 60 doublings every pause is the longest.
    whole = min(longest, first * 2.0 ** min(attempt - 1, 60))
    return whole * (0.5 + chance / 2)


def asked_pause(headers: Mapping[str, str]) -> float:
    """Seconds that the answer asks to wait (Retry-After, RFC 9110, its form in seconds); else 0."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0  # noqa: PLR2004
