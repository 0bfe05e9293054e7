"""A profile comes back as it was written, or is refused with what is wrong."""

import hashlib
import re

import msgspec
import pytest

from fastserve.drift.profile import (
    MAX_HEADER_BYTES,
    Origin,
    decode_profile,
    encode_profile,
    make_profile,
)
from fastserve.drift.signature import Tensor
from fastserve.errors import ArtifactCorrupt, InvalidConfig, Unsupported
from fastserve.model_config import FeatureConfig
from tests.drift.conftest import SIGNATURE

FEATURES = {"x[3]": FeatureConfig(unit="mm", label="radius", min=0, max=4.5)}


@pytest.fixture
def profile(normal_rows, sketch_of):
    origin = Origin(kind="data", source="train.parquet")
    sketch = sketch_of(normal_rows(2000))
    return make_profile(SIGNATURE, sketch, origin, features=FEATURES, now=5.0)


@pytest.fixture
def data(profile):
    return encode_profile(profile)


def rewritten(data, change):
    """The same profile with another header; its first line fits."""
    line, rest = data.split(b"\n", 1)
    _, number, header_size, sketch_size, _ = line.decode().split()
    header, sketch = rest[: int(header_size)], rest[int(header_size) :]
    header = change(header)
    digest = hashlib.sha256(header + sketch).hexdigest()
    first = f"fastserve-profile {number} {len(header)} {sketch_size} {digest}\n"
    return first.encode() + header + sketch


def test_profile_comes_back_as_it_was_written(profile, data):
    read = decode_profile(data, SIGNATURE)
    assert read.header == profile.header
    assert read.sketch.serialize() == profile.sketch.serialize()
    assert (read.rows, read.origin.made) == (2000, 5.0)


def test_profile_is_the_same_bytes_each_time(profile, data):
    assert encode_profile(profile) == data


def test_header_can_be_read_by_people(data):
    assert data.startswith(b"fastserve-profile 1 ")
    second = data.split(b"\n")[1]
    assert msgspec.json.decode(second)["features"]["x[3]"]["unit"] == "mm"


def test_profile_of_no_rows_is_refused(sketch_of, normal_rows):
    with pytest.raises(InvalidConfig, match="no rows describes nothing"):
        make_profile(SIGNATURE, sketch_of(normal_rows(0)), Origin(kind="data", source="x"))


def test_every_damaged_byte_is_found(data, source):
    for place in source.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[place] ^= 1 << source.integers(0, 8)
        with pytest.raises((ArtifactCorrupt, Unsupported)):
            decode_profile(bytes(damaged), SIGNATURE)


def test_every_cut_is_found(data, source):
    for size in [0, 1, 20, *map(int, source.integers(0, len(data), 50))]:
        with pytest.raises(ArtifactCorrupt):
            decode_profile(data[:size], SIGNATURE)
    with pytest.raises(ArtifactCorrupt, match=r"states .* bytes after its first line and has"):
        decode_profile(data + b"x", SIGNATURE)


def test_profile_that_states_more_than_one_may_be_is_refused_before_it_is_read(data):
    line = re.sub(rb" 1 \d+ ", f" 1 {MAX_HEADER_BYTES + 1} ".encode(), data, count=1)
    with pytest.raises(ArtifactCorrupt, match="more than"):
        decode_profile(line)


def test_profile_of_a_later_format_is_unsupported(data):
    later = data.replace(b"fastserve-profile 1 ", b"fastserve-profile 2 ", 1)
    with pytest.raises(Unsupported, match="has format 2, this fastserve reads 1"):
        decode_profile(later, SIGNATURE)


X, Y = SIGNATURE


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ((X,), "has output 'y' FP32, 1 a row, which is not there"),
        (
            (X, Y, Tensor("z", is_input=True, datatype="INT64", elements=2)),
            "lacks input 'z' INT64, 2 a row",
        ),
        (
            (Tensor("x", is_input=True, datatype="FP64", elements=30), Y),
            "has input 'x' FP32, 30 a row, expected FP64, 30 a row",
        ),
        (
            (Tensor("x", is_input=True, datatype="FP32", elements=-1), Y),
            "has input 'x' FP32, 30 a row, expected FP32, rows of any length",
        ),
        ((Y, X), "has the tensors in another order"),
    ],
)
def test_profile_of_other_tensors_is_refused_with_what_differs(data, expected, difference):
    with pytest.raises(InvalidConfig) as error:
        decode_profile(data, expected, name="digits/1/reference.profile")
    assert error.value.message == (
        f"digits/1/reference.profile: is a profile of another signature: {difference}; make one "
        "with `fastserve drift profile`"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda _header: b"{}\n",
        lambda _header: b"[\n",
        lambda header: header.replace(b'"rows":2000', b'"rows":-1'),
        lambda header: header.replace(b'"kind":"data"', b'"kind":"dat"'),
        lambda header: header.replace(b'"rows":2000', b'"rows":2001'),
        lambda header: header.replace(b'"elements":30', b'"elements":29'),
    ],
)
def test_header_that_makes_no_sense_is_refused(data, change):
    with pytest.raises(ArtifactCorrupt):
        decode_profile(rewritten(data, change))
