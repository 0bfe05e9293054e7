"""What all groups of settings have in common, and the ranges that several of them use."""

from typing import Annotated, Final, Literal

import msgspec

MIB: Final = 1 << 20
Rows = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
Threads = Annotated[int, msgspec.Meta(ge=0, le=1024)]
Bytes = Annotated[int, msgspec.Meta(ge=1)]
Transport = Literal["native", "grpcio"]
WindowSeconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]
WindowCount = Annotated[int, msgspec.Meta(ge=1, le=100)]
Significance = Annotated[float, msgspec.Meta(gt=0, le=0.5)]
Threshold = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one owner."""


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
