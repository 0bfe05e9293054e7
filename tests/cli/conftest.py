import sys
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.append(str(Path(__file__).parents[1] / "client"))  # test folders are not packages

import oip_server

from fastserve.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def shared_peer():
    with oip_server.serve(oip_server.OipServer()) as server:
        yield server


@pytest.fixture
def peer(shared_peer, monkeypatch):
    """A server of the protocol that is not ours, at the endpoint that the command line asks."""
    shared_peer.forget()
    monkeypatch.setenv("FASTSERVE_ENDPOINT", shared_peer.address)
    return shared_peer


@pytest.fixture
def fastserve(capfd):
    """Runs the command line: `fastserve("model", "list")`."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        return Outcome(exit_info.value.code, *capfd.readouterr())

    return run
