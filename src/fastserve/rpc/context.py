"""One call as a handler sees it, whatever carries it."""

import abc
import secrets
import time
from functools import cached_property
from typing import Final

import msgspec

from fastserve.tokens import ANONYMOUS, Role

Metadata = tuple[tuple[str, str | bytes], ...]

NO_DEADLINE: Final = -1
REQUEST_ID_KEY: Final = "x-request-id"
MAX_REQUEST_ID_CHARACTERS: Final = 128


class Actor(msgspec.Struct, frozen=True):
    """Who calls: the name and role of the token, and who the caller says that it is.

    `claimed` is unproven, bounded and printable: for the audit alone.
    """

    name: str
    role: Role
    claimed: str = ""

    @property
    def shown(self) -> str:
        """For records: what is proven, and what is claimed in brackets."""
        return f"{self.name} ({self.claimed})" if self.claimed else self.name


class CallContext(abc.ABC):
    """Thread: the event loop's. A cancelled or overdue call cancels the handler's task."""

    def __init__(self, path: str, peer: str, deadline_ns: int, metadata: Metadata) -> None:
        self.path = path
        # For logs only: "ipv4:127.0.0.1:5000" and the like.
        self.peer = peer
        # On time.monotonic_ns()'s clock; NO_DEADLINE when the caller set none.
        self.deadline_ns = deadline_ns
        # As received: keys in lower case, bytes for "-bin" keys.
        self.metadata = metadata
        # Nobody in particular, who may do least, until fastserve.rpc.access has looked.
        self.actor = Actor(ANONYMOUS, Role.INFER)
        # Place of the actor's token among the configured ones, as core.CallRecord has it.
        self.token = -1
        # Its caller names a trace, validly.
        self.is_in_trace = False
        # The core writes the record of this call.
        self.is_recorded_by_core = False
        self.trailers: list[tuple[str, str | bytes]] = []

    def header(self, key: str) -> str:
        """The first value of a text key, empty when there is none."""
        for name, value in self.metadata:
            if name == key and isinstance(value, str):
                return value
        return ""

    @cached_property
    def request_id(self) -> str:
        """What the log calls this call by: as the caller says in `x-request-id`, else drawn."""
        given = self.header(REQUEST_ID_KEY)[:MAX_REQUEST_ID_CHARACTERS]
        return "".join(c if " " <= c <= "~" else "?" for c in given) or secrets.token_hex(8)

    def remaining_seconds(self) -> float | None:
        """Until the deadline; None when there is none."""
        if self.deadline_ns == NO_DEADLINE:
            return None
        return max(0.0, (self.deadline_ns - time.monotonic_ns()) / 1e9)

    def add_trailer(self, key: str, value: str | bytes) -> None:
        """Goes out with the status."""
        self.trailers.append((key, value))

    @abc.abstractmethod
    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """At most once, before the first message."""
