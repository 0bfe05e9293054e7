import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from nursery import Nursery


@pytest.fixture(scope="session")
def nursery(tmp_path_factory):
    """Runs writers that are killed, or whose system calls fail."""
    nursery = Nursery(tmp_path_factory.mktemp("faults"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def capture_nursery(tmp_path_factory):
    """One whose children have pyarrow, which makes them slower to start."""
    nursery = Nursery(tmp_path_factory.mktemp("capture_faults"), "captured")
    yield nursery
    nursery.close()
