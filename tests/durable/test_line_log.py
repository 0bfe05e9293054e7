"""An append-only log: segments, the repaired tail, the refused middle."""

import os
import zlib

import pytest

from fastserve.durable.line_log import Ending, LineLog, Repair
from fastserve.durable.segment import MAX_LINE_BYTES, Position, list_segments, read_lines
from fastserve.errors import ArtifactCorrupt

NOWHERE = Position()


def sealed(text):
    """A line that carries its own checksum."""
    return b"%08x " % zlib.crc32(text) + text


def check(line):
    return "" if sealed(line[9:]) == line else "does not fit its checksum"


def open_log(folder, *, segment_bytes=1_000_000, acknowledged=NOWHERE):
    return LineLog(folder, "log", check, segment_bytes=segment_bytes, acknowledged=acknowledged)


def written(folder, *groups, segment_bytes=1_000_000):
    """The position behind a log of these lines."""
    log = open_log(folder, segment_bytes=segment_bytes)
    for group in groups:
        log.append([sealed(text) for text in group])
    log.close()
    return log.position


def texts(folder):
    return [
        line.data[9:]
        for number in list_segments(folder, "log")
        for line in read_lines(folder / f"log-{number:06d}.jsonl")
    ]


def test_lines_come_back_in_order(tmp_path):
    position = written(tmp_path, [b"a", b"b"], [b"c"])
    assert texts(tmp_path) == [b"a", b"b", b"c"]
    assert position == Position(1, 33)


def test_appending_goes_on_after_opening_again(tmp_path):
    written(tmp_path, [b"a"])
    assert written(tmp_path, [b"b"]) == Position(1, 22)
    assert texts(tmp_path) == [b"a", b"b"]


def test_segment_ends_by_its_size_and_is_named_before_the_next_begins(tmp_path):
    log = open_log(tmp_path, segment_bytes=20)
    log.append([sealed(b"a")])
    assert log.ending is None
    log.append([sealed(b"b")])
    assert log.ending == Ending("log-000001.jsonl", 22)
    log.append([sealed(b"c")])
    assert log.ending is None
    assert log.position == Position(2, 11)
    log.close()
    assert list_segments(tmp_path, "log") == [1, 2]


def test_tail_cut_at_any_byte_is_repaired_and_reported(tmp_path):
    end = written(tmp_path, [b"first", b"second", b"third"])
    path = tmp_path / "log-000001.jsonl"
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        log = open_log(tmp_path, acknowledged=end)
        whole = data[:length].count(b"\n")
        torn = length - (data[:length].rfind(b"\n") + 1)
        expected = [Repair(path.name, whole + 1, 1, torn)] if torn else []
        assert log.repairs == expected
        assert texts(tmp_path) == [b"first", b"second", b"third"][:whole]
        log.append([sealed(b"next")])
        log.close()
        assert texts(tmp_path)[whole:] == [b"next"]
        for number in list_segments(tmp_path, "log"):
            (tmp_path / f"log-{number:06d}.jsonl").unlink()


@pytest.mark.parametrize("zeros", [1, 10, 512, 4096])
def test_tail_of_zeros_is_repaired(tmp_path, zeros):
    lines = [b"%d" % n * 20 for n in range(300)]
    end = written(tmp_path, lines)
    path = tmp_path / "log-000001.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-zeros] + b"\0" * zeros)
    log = open_log(tmp_path, acknowledged=end)
    log.close()
    whole = data[:-zeros].count(b"\n")
    assert texts(tmp_path) == lines[:whole]
    assert log.repairs[0].line == whole + 1


def test_damage_in_the_middle_is_refused_with_file_and_line_and_left_alone(tmp_path):
    end = written(tmp_path, [b"first", b"second", b"third"])
    path = tmp_path / "log-000001.jsonl"
    data = path.read_bytes().replace(b"second", b"sekond")
    path.write_bytes(data)
    with pytest.raises(ArtifactCorrupt, match=r"log-000001.jsonl line 2: does not fit its check"):
        open_log(tmp_path, acknowledged=end)
    assert path.read_bytes() == data


def test_whatever_lies_behind_what_was_acknowledged_is_cut_off(tmp_path):
    end = written(tmp_path, [b"first"])
    path = tmp_path / "log-000001.jsonl"
    with path.open("ab") as file:
        file.write(b"\0\0\0\n" + sealed(b"third") + b"\nhalf")
    log = open_log(tmp_path, acknowledged=end)
    log.close()
    assert log.repairs == [Repair(path.name, 2, 3, 23)]
    assert texts(tmp_path) == [b"first"]


def test_sound_lines_behind_what_was_acknowledged_are_kept(tmp_path):
    end = written(tmp_path, [b"first"])
    written(tmp_path, [b"second"])
    log = open_log(tmp_path, acknowledged=end)
    log.close()
    assert texts(tmp_path) == [b"first", b"second"]


def test_segment_without_a_whole_line_is_removed(tmp_path):
    end = written(tmp_path, [b"first"])
    (tmp_path / "log-000002.jsonl").write_bytes(b"half")
    log = open_log(tmp_path, acknowledged=end)
    assert log.position == Position(1, 15)
    assert log.repairs == [Repair("log-000002.jsonl", 1, 1, 4)]
    log.close()
    assert list_segments(tmp_path, "log") == [1]


def test_line_beyond_the_bound_is_damage(tmp_path):
    end = written(tmp_path, [b"first"])
    path = tmp_path / "log-000001.jsonl"
    path.write_bytes(b"x" * (MAX_LINE_BYTES + 1) + b"\n")
    with pytest.raises(ArtifactCorrupt, match="line 1: is longer than"):
        open_log(tmp_path, acknowledged=end)


@pytest.mark.parametrize("line", [b"a\nb", b"x" * MAX_LINE_BYTES])
def test_line_that_could_not_be_read_back_is_not_written(tmp_path, line):
    log = open_log(tmp_path)
    with pytest.raises(ValueError, match="a line of a log has no line ends"):
        log.append([line])
    log.close()
    assert list_segments(tmp_path, "log") == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make):
    make(tmp_path / "log-000001.jsonl")
    with pytest.raises((ArtifactCorrupt, OSError)):
        open_log(tmp_path)


def test_only_names_that_the_log_gives_are_segments(tmp_path):
    written(tmp_path, [b"first"])
    for name in (
        "log-0000001.jsonl",
        "log-000000.jsonl",
        "log-000002.jsonl.1",
        "xlog-000002.jsonl",
    ):
        (tmp_path / name).write_bytes(b"")
    assert list_segments(tmp_path, "log") == [1]


def test_link_in_the_place_of_a_segment_is_refused(tmp_path):
    (tmp_path / "elsewhere").write_bytes(sealed(b"a") + b"\n")
    (tmp_path / "log-000001.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_log(tmp_path)
