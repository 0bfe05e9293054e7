"""Small state: the newest sound generation, or the reason why there is none."""

import os

import msgspec
import pytest

from fastserve.durable.state_file import MAX_STATE_BYTES, State, read_state, write_state
from fastserve.errors import ArtifactCorrupt, Unsupported

Labels = dict[str, int]


@pytest.fixture
def path(tmp_path):
    """Of a state with two generations."""
    write_state(tmp_path / "labels", {"stable": 1})
    write_state(tmp_path / "labels", {"stable": 2})
    return tmp_path / "labels"


def test_state_is_none_before_the_first_write(tmp_path):
    assert read_state(tmp_path / "labels", Labels) == State(None, ())


def test_state_is_the_last_one_written(path):
    assert read_state(path, Labels) == State({"stable": 2})
    assert read_state(path.with_name("labels.1"), Labels) == State({"stable": 1})


def test_state_leaves_no_other_files(path):
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["labels", "labels.1"]


def test_state_is_the_generation_before_when_any_byte_is_flipped(path):
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        state = read_state(path, Labels)
        assert state.value == {"stable": 1}
        assert len(state.skipped) == 1
        assert state.skipped[0].startswith("labels: ")


def test_state_is_the_generation_before_when_cut_at_any_byte(path):
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert read_state(path, Labels).value == {"stable": 1}


def test_state_is_refused_when_no_generation_is_sound(path):
    path.write_bytes(b"")
    path.with_name("labels.1").write_bytes(b"fastserve-state 1 2 abc\n{}")
    with pytest.raises(ArtifactCorrupt, match=r"no sound state .*labels: .*; labels\.1: "):
        read_state(path, Labels)


def test_state_of_another_kind_is_passed_over_with_its_reason(path):
    write_state(path, {"stable": "two"})
    state = read_state(path, Labels)
    assert state.value == {"stable": 2}
    assert "got `str`" in state.skipped[0]


def test_state_of_a_newer_format_is_neither_read_nor_overwritten(path):
    newer = path.read_bytes().replace(b"fastserve-state 1 ", b"fastserve-state 2 ")
    path.write_bytes(newer)
    with pytest.raises(Unsupported, match="has format 2, this fastserve knows 1"):
        read_state(path, Labels)
    with pytest.raises(Unsupported):
        write_state(path, {})
    assert path.read_bytes() == newer


def test_write_keeps_the_sound_generation_when_the_newest_is_damaged(path):
    path.write_bytes(b"garbage")
    write_state(path, {"stable": 3})
    assert read_state(path, Labels).value == {"stable": 3}
    path.unlink()
    assert read_state(path, Labels).value == {"stable": 1}


def test_length_that_lies_reads_nothing(path):
    header, _, body = path.read_bytes().partition(b"\n")
    words = header.split()
    words[2] = b"%d" % (MAX_STATE_BYTES + 1)
    path.write_bytes(b" ".join(words) + b"\n" + body)
    assert "more than" in read_state(path, Labels).skipped[0]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_passed_over_and_not_waited_for(tmp_path, make):
    make(tmp_path / "labels")
    with pytest.raises((ArtifactCorrupt, OSError)):
        read_state(tmp_path / "labels", Labels)


def test_state_holds_structs(tmp_path):
    class Route(msgspec.Struct):
        weights: dict[str, float]

    write_state(tmp_path / "routes", Route({"1": 0.5}))
    assert read_state(tmp_path / "routes", Route).value == Route({"1": 0.5})
