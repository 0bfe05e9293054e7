"""What of a captured request may be written: tensors are left out, or their values hashed.

It fails closed: where it is not known what may be written, nothing is.
"""

import hmac
from collections.abc import Collection
from typing import Final

import msgspec

from fastserve.errors import InvalidConfig
from fastserve.model_config import CaptureConfig

# Of the HMAC's 32 bytes; enough that two values of one column do not meet.
HASH_BYTES: Final = 16
_WHOLE: Final = -1


class Redaction(msgspec.Struct, frozen=True):
    """The rules of one version, by tensor."""

    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    # Elements of a row that become null.
    elements: dict[str, tuple[int, ...]] = {}
    key: bytes = b""

    def hash_value(self, data: bytes) -> str:
        """The same for the same value, and of no use to somebody without the key."""
        return hmac.digest(self.key, data, "sha256")[:HASH_BYTES].hex()


def make_redaction(config: CaptureConfig, tensors: Collection[str], key: bytes | None) -> Redaction:
    """`tensors`: the names of all inputs and outputs. Errors: InvalidConfig."""
    fields = config.fields(tensors)
    whole = {name: actions[_WHOLE] for name, actions in fields.items() if _WHOLE in actions}
    hashed = frozenset(name for name, action in whole.items() if action == "hash")
    if hashed and key is None:
        raise InvalidConfig(
            "hash: there is no key: set capture.hash_key_file in the server's settings"
        )
    return Redaction(
        dropped=frozenset(name for name, action in whole.items() if action == "drop"),
        hashed=hashed,
        elements={
            name: tuple(sorted(actions)) for name, actions in fields.items() if name not in whole
        },
        key=key or b"",
    )
