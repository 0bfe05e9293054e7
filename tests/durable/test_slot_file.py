"""A record rewritten in place: the newest sound slot counts."""

import os

import pytest

from fastserve.durable.slot_file import MAX_PAYLOAD_BYTES, SLOT_BYTES, SlotFile, read_slots
from fastserve.errors import ArtifactCorrupt


@pytest.fixture
def path(tmp_path):
    slots = SlotFile(tmp_path / "head", b"zero")
    for payload in (b"one", b"two", b"three"):
        slots.write(payload)
    slots.close()
    return tmp_path / "head"


def test_payload_is_the_last_one_written(path):
    assert read_slots(path) == b"three"


def test_payload_of_a_new_file_is_the_first(tmp_path):
    slots = SlotFile(tmp_path / "head", b"zero")
    assert slots.payload == read_slots(tmp_path / "head") == b"zero"
    slots.close()


def test_writing_goes_on_after_opening_again(path):
    slots = SlotFile(path, b"zero")
    assert slots.payload == b"three"
    slots.write(b"four")
    slots.close()
    assert read_slots(path) == b"four"


def test_file_never_grows(path):
    assert path.stat().st_size == 2 * SLOT_BYTES


def test_slot_with_any_byte_flipped_does_not_count(path):
    data = path.read_bytes()
    newest = data.index(b"three") // SLOT_BYTES * SLOT_BYTES
    for place in range(newest, newest + SLOT_BYTES):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert read_slots(path) == b"two"


def test_write_after_damage_spares_the_sound_slot(path):
    data = path.read_bytes()
    path.write_bytes(data.replace(b"three", b"THREE"))
    slots = SlotFile(path, b"zero")
    slots.write(b"four")
    slots.close()
    left = path.read_bytes()
    assert b"two" in left
    assert read_slots(path) == b"four"


@pytest.mark.parametrize("data", [b"", b"x" * 2 * SLOT_BYTES, b"\0" * 2 * SLOT_BYTES])
def test_file_without_a_sound_slot_is_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(ArtifactCorrupt, match="head: neither of its two slots is sound"):
        read_slots(path)


def test_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "head")
    with pytest.raises(ArtifactCorrupt, match="is not a regular file"):
        SlotFile(tmp_path / "head", b"")


def test_payload_beyond_the_slot_is_refused(path):
    slots = SlotFile(path, b"zero")
    slots.write(b"x" * MAX_PAYLOAD_BYTES)
    with pytest.raises(ValueError, match="a slot holds"):
        slots.write(b"x" * (MAX_PAYLOAD_BYTES + 1))
    slots.close()
    assert read_slots(path) == b"x" * MAX_PAYLOAD_BYTES
