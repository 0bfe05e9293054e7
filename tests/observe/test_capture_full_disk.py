"""A full disk: serving goes on, what could not be captured is counted, and capturing recovers."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("full_disk_capture.py")
# Root needs no user namespace, others get one where the kernel lets them.
NAMESPACES = (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount"))


@pytest.fixture
def run_on_small_disk(tmp_path):
    """Runs the program in a mount namespace of its own, on a file system of 256 KiB."""
    command = (
        f"mount -t tmpfs -o size=256k none {shlex.quote(str(tmp_path))} && "
        f"exec {shlex.quote(sys.executable)} {shlex.quote(str(PROGRAM))} "
        f"{shlex.quote(str(tmp_path))}"
    )
    for namespace in NAMESPACES:
        probe = subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", tmp_path], check=False,
                               capture_output=True)  # fmt: skip
        if probe.returncode == 0:
            return lambda: run([*namespace, "sh", "-c", command])
    pytest.skip("no mount namespaces here; tests/durable fails single calls instead")


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_capture_counts_what_a_full_disk_took_and_recovers(run_on_small_disk):
    outcome = run_on_small_disk()
    assert outcome["before"] == outcome["after"] == 10
    assert outcome["failed"] >= 400
    assert outcome["pending"] == outcome["hidden"] == 0
    assert outcome["offered"] == outcome["settled"] == 520
    assert outcome["in_files"] == outcome["captured"]
