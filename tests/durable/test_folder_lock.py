"""One process for one folder."""

import subprocess
import sys

import pytest

from fastserve.durable.folder_lock import FolderLock
from fastserve.errors import InvalidConfig

PROGRAM = """
import sys
from pathlib import Path
from fastserve.durable.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_second_holder_is_refused_until_the_first_lets_go(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(InvalidConfig, match="is in use by another fastserve"):
        FolderLock(tmp_path)
    lock.close()
    FolderLock(tmp_path).close()


def test_lock_of_a_killed_process_is_free(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InvalidConfig):
            FolderLock(tmp_path)
        holder.kill()
        holder.wait()
        FolderLock(tmp_path).close()
