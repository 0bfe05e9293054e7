"""The reference profile: what a version's rows looked like when it was right.

One file, `reference.profile` in the version's folder, or in the server's own state:

    fastserve-profile 1 <bytes of the header> <bytes of the sketch> <SHA-256 of both>
    { "rows": 20000, "origin": {...}, "tensors": [...], "features": {...} }
    <a TableSketch, as the core writes it>

The header is JSON, so that `head -c 2000` tells a person what lies there; the sketch has a format
and a checksum of its own. Nothing is read that is longer than a profile may be, and a profile of
other tensors than the version's is refused with what differs: a score against it would mean
nothing.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from fastserve._core import core
from fastserve.decoding import decoder
from fastserve.drift.signature import Signature, describe_difference, schema_of
from fastserve.errors import ArtifactCorrupt, InvalidConfig, Unsupported
from fastserve.model_config import FeatureConfig

FORMAT: Final = 1
MAX_HEADER_BYTES: Final = 8 << 20
MAX_SKETCH_BYTES: Final = 64 << 20
MAX_PROFILE_BYTES: Final = MAX_HEADER_BYTES + MAX_SKETCH_BYTES + 256

_LINE = re.compile(rb"fastserve-profile ([0-9]{1,9}) ([0-9]{1,12}) ([0-9]{1,12}) ([0-9a-f]{64})\n")
_MAX_LINE_BYTES: Final = 128

# data: a file of training rows; freeze: the version's first live rows; version: another version's
# live rows.
OriginKind: TypeAlias = Literal["data", "freeze", "version"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a profile comes from, for people."""

    kind: OriginKind
    # The file's name, or the version that the rows came to.
    source: str
    # Of the first and the last row, seconds since the epoch; 0 for a file.
    start: float = 0
    end: float = 0
    # When it was made, seconds since the epoch.
    made: float = 0
    # Whether the model was run on the rows; without, outputs have no reference.
    has_outputs: bool = True


class ProfileHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says before its sketch."""

    rows: Annotated[int, msgspec.Meta(ge=0)]
    origin: Origin
    tensors: Signature
    # By feature: unit, label and what is allowed; features without any are left out.
    features: dict[str, FeatureConfig] = {}
    # Of the version that it was made for; empty when it may be used for any of the same tensors.
    digest: str = ""


class ReferenceProfile:
    """A profile in memory. Immutable; thread: any."""

    def __init__(self, header: ProfileHeader, sketch: core.TableSketch) -> None:
        self.header = header
        self.sketch = sketch

    @property
    def origin(self) -> Origin:
        return self.header.origin

    @property
    def rows(self) -> int:
        return self.header.rows


def make_profile(
    signature: Signature,
    sketch: core.TableSketch,
    origin: Origin,
    *,
    features: Mapping[str, FeatureConfig] = {},
    digest: str = "",
    now: float | None = None,
) -> ReferenceProfile:
    """A profile of what `sketch` has seen; the sketch is the profile's from now on.

    Errors: InvalidConfig when it has seen nothing.
    """
    if not sketch.rows:
        raise InvalidConfig("a profile of no rows describes nothing: give at least one row")
    made = time.time() if now is None else now
    header = ProfileHeader(
        rows=sketch.rows,
        origin=msgspec.structs.replace(origin, made=made),
        tensors=signature,
        features=dict(features),
        digest=digest,
    )
    return ReferenceProfile(header, sketch)


def encode_profile(profile: ReferenceProfile) -> bytes:
    """The file's bytes. Errors: InvalidConfig for one larger than what is read back."""
    header = msgspec.json.encode(profile.header) + b"\n"
    sketch = profile.sketch.serialize()
    for name, data, limit in (
        ("header", header, MAX_HEADER_BYTES),
        ("sketch", sketch, MAX_SKETCH_BYTES),
    ):
        if len(data) > limit:
            raise InvalidConfig(
                f"the profile's {name} has {len(data)} bytes, more than the limit of {limit}"
            )
    digest = hashlib.sha256(header + sketch).hexdigest()
    first = f"fastserve-profile {FORMAT} {len(header)} {len(sketch)} {digest}\n"
    return first.encode() + header + sketch


def decode_profile(
    data: bytes, expected: Signature | None = None, *, name: str = "reference.profile"
) -> ReferenceProfile:
    """The profile in a file's bytes; of the `expected` tensors, when they are given.

    Errors: ArtifactCorrupt for damage, with its place; Unsupported for a later format;
    InvalidConfig for a profile of other tensors, with what differs.
    """
    header_bytes, sketch_bytes = _split(data, name)
    try:
        header = decoder(ProfileHeader).decode(header_bytes)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtifactCorrupt(f"{name}: header: {error}") from None
    if expected is not None:
        difference = describe_difference(expected, header.tensors)
        if difference:
            raise InvalidConfig(
                f"{name}: is a profile of another signature: {difference}; make one with "
                "`fastserve drift profile`"
            )
    try:
        sketch = core.TableSketch.parse(sketch_bytes)
        schema = schema_of(header.tensors)
    except core.CoreError as error:
        raise ArtifactCorrupt(f"{name}: sketch: {error.args[0]}") from None
    if schema != sketch.schema or header.rows != sketch.rows:
        raise ArtifactCorrupt(f"{name}: header and sketch are not of the same profile")
    return ReferenceProfile(header, sketch)


def _split(data: bytes, name: str) -> tuple[bytes, bytes]:
    """Header and sketch, checked against the first line."""
    match = _LINE.match(data[:_MAX_LINE_BYTES])
    if match is None:
        raise ArtifactCorrupt(f"{name}: does not begin with the line of a profile")
    number, header_size, sketch_size = (int(match[at]) for at in (1, 2, 3))
    if number != FORMAT:
        raise Unsupported(f"{name}: has format {number}, this fastserve reads {FORMAT}")
    if header_size > MAX_HEADER_BYTES or sketch_size > MAX_SKETCH_BYTES:
        raise ArtifactCorrupt(
            f"{name}: states {header_size} and {sketch_size} bytes, more than "
            f"{MAX_HEADER_BYTES} and {MAX_SKETCH_BYTES}"
        )
    body = data[match.end() :]
    if len(body) != header_size + sketch_size:
        raise ArtifactCorrupt(
            f"{name}: states {header_size + sketch_size} bytes after its first line and has "
            f"{len(body)}"
        )
    if hashlib.sha256(body).hexdigest().encode() != match[4]:
        raise ArtifactCorrupt(f"{name}: its SHA-256 does not fit its content")
    return body[:header_size], body[header_size:]
