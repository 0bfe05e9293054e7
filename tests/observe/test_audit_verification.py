"""Whatever is done to the files of an audit log is found, and where."""

import asyncio
import hashlib
import json
import shutil
import subprocess

import pytest

from fastserve.errors import ArtifactCorrupt, InvalidConfig
from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.observe.audit_head import HeadFile, read_head
from fastserve.observe.audit_record import read_key
from fastserve.observe.audit_verification import verify_folder, verify_lines

KEY = b"a key of nobody at all"
FIRST = "audit-000001.jsonl"


def write(folder, count, *, actor="anna", **options):
    """A log of `count` loads; the verification of it."""

    async def run():
        log = AuditLog.open(folder, clock=lambda: 1_780_000_000, **options)
        for number in range(1, count + 1):
            event = AuditEvent(action="model.load", actor=actor, origin="operator", version=number)
            await log.append(event)
        log.close()

    asyncio.run(run())
    verification = verify_folder(folder, key=options.get("key"))
    assert verification.is_intact, verification.placed_problem
    return verification


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "audit", 5)
    return tmp_path / "audit"


def lines_of(folder, name=FIRST):
    return (folder / name).read_bytes().splitlines(keepends=True)


def put(folder, lines, name=FIRST):
    (folder / name).write_bytes(b"".join(lines))


def resealed(line, **fields):
    """The record with other fields and a hash that fits them."""
    record = json.loads(line) | fields
    del record["hash"]
    body = json.dumps(record, separators=(",", ":"))
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{body[:-1]},"hash":"{digest}"}}\n'.encode()


def test_every_flipped_byte_is_found_at_its_record(memory_path):
    folder = memory_path / "audit"
    write(folder, 3)
    data = (folder / FIRST).read_bytes()
    for bit in (0x01, 0x20, 0x80):
        for place in range(len(data)):
            changed = bytes([data[place] ^ bit])
            (folder / FIRST).write_bytes(data[:place] + changed + data[place + 1 :])
            found = verify_folder(folder)
            assert not found.is_intact, place
            assert (found.segment, found.line) == (FIRST, data[:place].count(b"\n") + 1)
            assert found.records == found.line - 1


def test_log_with_any_flipped_byte_never_opens_as_if_nothing_was(memory_path):
    folder = memory_path / "audit"
    write(folder, 3)
    data, head = (folder / FIRST).read_bytes(), (folder / "head").read_bytes()
    for place in range(len(data)):
        (folder / FIRST).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        (folder / "head").write_bytes(head)
        if place < len(data) - 1:
            line = data[:place].count(b"\n") + 1
            with pytest.raises(ArtifactCorrupt, match=f"{FIRST} line {line}: "):
                AuditLog.open(folder)
        else:
            # The end of the last line: it looks like a torn write, and is stated.
            AuditLog.open(folder).close()
            assert (
                "acknowledged records before it (1) were missing" in verify_folder(folder).problem
            )


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_records_cut_off_the_end_are_found(folder, cut):
    put(folder, lines_of(folder)[:-cut])
    found = verify_folder(folder)
    assert found.placed_problem == (
        f"{FIRST}: ends with record {5 - cut}, and the head file knows record 5: "
        "the end was cut off"
    )
    assert found.records == 5 - cut


def test_records_cut_off_together_with_the_head_file_are_found(folder):
    put(folder, lines_of(folder)[:-1])
    (folder / "head").unlink()
    assert verify_folder(folder).placed_problem.startswith("head: is missing")


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (lambda a: [a[0], a[2], a[3], a[4]], 2, "is record 3 where record 2 is expected: 1"),
        (lambda a: a[1:], 1, "is record 2 where record 1 is expected: 1 deleted before it"),
        (lambda a: [a[0], a[2], a[1], *a[3:]], 2, "is record 3 where record 2 is expected"),
        (lambda a: [a[0], a[1], a[1], *a[2:]], 3, "is record 2 where record 3 is expected: it was"),
        (
            lambda a: [a[0], resealed(a[1], seq=2, actor="otto"), *a[1:]],
            3,
            "is record 2 where record 3 is expected: it was inserted",
        ),
        (
            lambda a: [a[0], resealed(a[1], actor="otto"), *a[2:]],
            3,
            "is a record 3 that does not follow from the one before it: one of the two",
        ),
        (lambda a: [*a[:4], resealed(a[4], actor="otto")], 5, "is record 5 with another hash"),
        (lambda a: [a[0], b"\n", *a[1:]], 2, "is not a record: does not end with its hash"),
        (lambda a: [a[0], b"{}\n", *a[1:]], 2, "is not a record: does not end with its hash"),
        (lambda a: [resealed(a[0], more=1), *a[1:]], 1, "is not a record: Object contains unknown"),
        (lambda a: [*a, b'{"seq":6'], 6, "has no end: a write was cut off here"),
        (lambda a: [*a, b"\0" * 512], 6, "has no end: a write was cut off here"),
        (lambda a: [*a, b"x" * (2 << 20)], 6, "is longer than 1048576 bytes"),
    ],
    ids=[
        "delete", "delete the first", "reorder", "repeat", "insert", "replace", "replace the last",
        "empty line", "other JSON", "add a field", "torn", "zeros", "flood",
    ],
)  # fmt: skip
def test_tampering_is_found_with_its_place(folder, change, line, words):
    put(folder, change(lines_of(folder)))
    found = verify_folder(folder)
    assert found.problem.startswith(words)
    assert (found.segment, found.line) == (FIRST, line)


@pytest.fixture
def segmented(tmp_path):
    """A log of several segments."""
    write(tmp_path / "audit", 20, segment_bytes=1_500)
    return tmp_path / "audit"


def test_segment_that_is_missing_is_found(segmented):
    (segmented / "audit-000002.jsonl").unlink()
    assert verify_folder(segmented).placed_problem == "audit-000002.jsonl: is missing"


def test_newest_segment_that_is_missing_is_found(segmented):
    max(segmented.glob("audit-*")).unlink()
    assert "the end was cut off" in verify_folder(segmented).problem


def test_records_cut_off_an_older_segment_are_found(segmented):
    put(segmented, lines_of(segmented)[:-1])
    found = verify_folder(segmented)
    assert found.segment == FIRST
    assert "records were cut off its end" in found.problem


def test_bytes_added_to_an_older_segment_are_found(segmented):
    put(segmented, [*lines_of(segmented), b"more\n"])
    found = verify_folder(segmented)
    assert found.segment == FIRST
    assert "bytes were added" in found.problem


def test_segments_that_changed_places_are_found(segmented):
    first, second = segmented / FIRST, segmented / "audit-000002.jsonl"
    first.rename(segmented / "x")
    second.rename(first)
    (segmented / "x").rename(second)
    assert verify_folder(segmented).segment == FIRST


def test_segment_that_does_not_begin_with_a_checkpoint_is_found(segmented):
    second = lines_of(segmented, "audit-000002.jsonl")
    put(segmented, [resealed(second[0], action="model.load"), *second[1:]], "audit-000002.jsonl")
    found = verify_folder(segmented)
    assert (found.segment, found.line) == ("audit-000002.jsonl", 1)
    assert "expected the checkpoint that describes audit-000001.jsonl" in found.problem


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_log_that_was_written_anew_is_found_by_an_expected_head(tmp_path, key):
    before = write(tmp_path / "audit", 5, key=key)
    forged = write(tmp_path / "forged", 5, actor="otto", key=key)
    shutil.rmtree(tmp_path / "audit")
    (tmp_path / "forged").rename(tmp_path / "audit")
    # The limit of what files can say of themselves.
    assert verify_folder(tmp_path / "audit", key=key).is_intact
    found = verify_folder(tmp_path / "audit", key=key, expected_head=before.head)
    assert found.problem.startswith(f"no record has the expected hash {before.head}")
    assert found.head == forged.head


def test_expected_head_may_be_that_of_any_record(folder):
    for line in lines_of(folder):
        assert verify_folder(folder, expected_head=json.loads(line)["hash"]).is_intact


def test_log_that_was_written_anew_without_the_key_is_found(tmp_path):
    write(tmp_path / "audit", 5, key=KEY, checkpoint_records=2)
    write(tmp_path / "none", 5, actor="otto", checkpoint_records=2)
    write(tmp_path / "other", 5, actor="otto", checkpoint_records=2, key=KEY[::-1])
    for forged in ("none", "other"):
        found = verify_folder(tmp_path / forged, key=KEY)
        assert found.placed_problem.startswith("head: was not made with this key")
        # Nor does it help to keep the true head file.
        shutil.copy(tmp_path / "audit" / "head", tmp_path / forged / "head")
        found = verify_folder(tmp_path / forged, key=KEY)
        assert (found.segment, found.line) == (FIRST, 1)
        assert "that was not made with this key" in found.problem


def test_no_record_can_be_replaced_or_added_without_the_key(tmp_path):
    folder = tmp_path / "audit"
    write(folder, 5, key=KEY)
    lines = lines_of(folder)
    last = resealed(lines[-1], actor="otto")
    added = resealed(lines[-1], seq=6, prev=json.loads(lines[-1])["hash"])
    # The newest slot of the head file is gone; the one before knows record 4.
    head = (folder / "head").read_bytes()
    (folder / "head").write_bytes(head.replace(json.loads(lines[-1])["hash"].encode(), b"x" * 64))
    for changed, line in (([*lines[:-1], last], 5), ([*lines, added], 6)):
        put(folder, changed)
        found = verify_folder(folder, key=KEY)
        assert (found.segment, found.line) == (FIRST, line)
        assert "that was not made with this key" in found.problem


def test_end_that_was_cut_off_together_with_the_head_file_needs_a_noted_head(tmp_path):
    """The table of docs/audit.md: what a key adds, and what it does not."""
    folder, older = tmp_path / "audit", tmp_path / "older"
    write(folder, 3, key=KEY)
    shutil.copytree(folder, older)
    noted = write(folder, 2, key=KEY).head
    # Both made to fit by somebody without the key, then by somebody who kept the older head file.
    put(folder, lines_of(folder)[:3])
    (folder / "head").unlink()
    forged = HeadFile(folder, KEY[::-1])
    forged.write(read_head(older).head, read_head(older).position)
    forged.close()
    assert verify_folder(folder).is_intact
    assert verify_folder(folder, key=KEY).segment == "head"
    shutil.copy(older / "head", folder / "head")
    assert verify_folder(folder, key=KEY).is_intact
    assert not verify_folder(folder, key=KEY, expected_head=noted).is_intact


def test_without_the_key_it_is_said_that_macs_were_not_checked(tmp_path):
    write(tmp_path / "audit", 3, key=KEY)
    assert "need the key" in verify_folder(tmp_path / "audit").note
    assert verify_folder(tmp_path / "audit", key=KEY).note == ""


def test_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match=r"holds no audit log, expected audit-000001\.jsonl"):
        verify_folder(tmp_path)


def test_log_without_records_is_intact(tmp_path):
    assert write(tmp_path / "audit", 0).records == 0


def test_log_is_read_while_a_server_appends_to_it(tmp_path):
    async def run():
        log = AuditLog.open(tmp_path / "audit", segment_bytes=10_000)
        event = AuditEvent(action="model.load", actor="anna", origin="operator")
        writing = asyncio.gather(*(log.append(event) for _ in range(2_000)))
        found = []
        while not writing.done():
            found.append(await asyncio.to_thread(log.verify))
            await asyncio.sleep(0)
        await writing
        log.close()
        return found

    for verification in asyncio.run(run()):
        assert verification.is_intact, verification.placed_problem


def test_hash_can_be_checked_with_sed_and_sha256sum(folder):
    """As docs/audit.md shows it."""
    script = (
        'sed -n 3p audit-000001.jsonl | sed \'s/,"hash":"[0-9a-f]*"}$/}/\''
        " | tr -d '\\n' | sha256sum"
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == json.loads(lines_of(folder)[2])["hash"]


def test_streamed_lines_are_verified_like_files(folder, segmented):
    for each in (folder, segmented):
        lines = [
            line.decode().rstrip("\n")
            for path in sorted(each.glob("audit-*"))
            for line in lines_of(each, path.name)
        ]
        whole = verify_lines(lines)
        assert whole.is_intact
        assert whole.head == verify_folder(each).head
        assert verify_lines(lines, expected_head=json.loads(lines[2])["hash"]).is_intact
        assert "no record has the expected hash" in verify_lines(lines, expected_head="1").problem
        cut = verify_lines([*lines[:2], *lines[3:]])
        assert cut.placed_problem.startswith("the server's answer line 3: is record 4 where")


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "holds 0 bytes"), (b"short\n", "holds 5 bytes, expected 16 or more")]
)
def test_key_file_that_is_too_short_is_refused(tmp_path, data, words):
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(InvalidConfig, match=words):
        read_key(tmp_path / "key")


def test_key_file_is_read_without_its_line_end(tmp_path):
    (tmp_path / "key").write_bytes(KEY + b"\n")
    assert read_key(tmp_path / "key") == KEY
