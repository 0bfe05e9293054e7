import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

import oip_server


@pytest.fixture(scope="session")
def shared_peer():
    with oip_server.serve(oip_server.OipServer()) as server:
        yield server


@pytest.fixture
def peer(shared_peer):
    """A server of the protocol that is not ours; it has forgotten what earlier tests told it."""
    shared_peer.forget()
    return shared_peer
