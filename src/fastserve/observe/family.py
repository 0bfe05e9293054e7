"""A metric as plain data: what the parts of the server count, for the page that renders it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple


class Family(NamedTuple):
    """One metric; `samples` are (label values, value)."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]
    samples: Sequence[tuple[tuple[str, ...], float]]
