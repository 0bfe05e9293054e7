"""A full disk: serving goes on, what is missing is counted and stated, and writing recovers."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("full_disk.py")
# Root needs no user namespace, others get one where the kernel lets them.
NAMESPACES = (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount"))


@pytest.fixture
def run_on_small_disk(tmp_path):
    """Runs the program in a mount namespace of its own, on a file system of 256 KiB."""
    command = (
        f"mount -t tmpfs -o size=256k none {shlex.quote(str(tmp_path))} && "
        f"exec {shlex.quote(sys.executable)} {shlex.quote(str(PROGRAM))} "
        f"{shlex.quote(str(tmp_path))} filler"
    )
    for namespace in NAMESPACES:
        probe = subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", tmp_path], check=False,
                               capture_output=True)  # fmt: skip
        if probe.returncode == 0:
            return lambda: run([*namespace, "sh", "-c", command])
    pytest.skip("no mount namespaces here: the limit of a file's size stands for a full disk")


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_recovered(outcome):
    assert outcome["problem"] == ""
    assert outcome["lost"] == outcome["lost_after"] == sum(outcome["stated"])
    assert outcome["lost"] >= outcome["before_the_flood"] >= 1
    assert outcome["errors"] >= 1
    # What was kept before, what still fitted in, the statement, the one after; and checkpoints.
    assert outcome["records"] >= outcome["kept"] + 2


def test_audit_recovers_when_a_full_file_system_has_space_again(run_on_small_disk):
    assert_recovered(run_on_small_disk())


def test_audit_recovers_when_files_may_grow_again(tmp_path):
    assert_recovered(run([sys.executable, PROGRAM, tmp_path, "limit"]))
