import shutil
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, not a file


@pytest.fixture
def memory_path(tmp_path):
    """A folder whose fsync is free where there is such a place: for loops over every byte."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="fastserve-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)
