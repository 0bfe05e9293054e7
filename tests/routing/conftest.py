"""Servers over models that say which version answered, and what operates and asks them."""

import contextlib
import importlib.util
import sys
from pathlib import Path

import grpc
import pytest

from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from fastserve.cli import main
from fastserve.client import ReleaseClient
from tests.conftest import ServerProcess

# By its path: test folders are not packages, and both have a conftest.
_SPEC = importlib.util.spec_from_file_location(
    "lifecycle_conftest", Path(__file__).parents[1] / "lifecycle" / "conftest.py"
)
lifecycle = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(lifecycle)

answered_by = lifecycle.answered_by

for folder in (Path(__file__).parent, Path(__file__).parents[2] / "bench"):
    sys.path.append(str(folder))  # test folders are not packages


class Caller:
    """Sends inferences and says which version answered each, and why."""

    def __init__(self, server):
        self._channel = grpc.insecure_channel(server.grpc)
        self.stub = GRPCInferenceServiceStub(self._channel)

    def ask(self, headers=(), parameters=None, version="", model="m"):
        """(version, route) of the answer and of its trailers, which have to agree."""
        message = lifecycle.request(model, version)
        for name, value in (parameters or {}).items():
            field = "int64_param" if isinstance(value, int) else "string_param"
            setattr(message.parameters[name], field, value)
        response, call = self.stub.ModelInfer.with_call(
            message, metadata=tuple(headers), timeout=30
        )
        trailers = dict(call.trailing_metadata())
        number = answered_by(response)
        assert trailers.get("fastserve-version", str(number)) == str(number)
        return number, trailers.get("fastserve-route", "")

    def versions(self, count, **arguments):
        """Of so many requests, some of them at the same time."""
        message = lifecycle.request("m", "")
        found = []
        while len(found) < count:
            some = [
                self.stub.ModelInfer.future(message, timeout=30, **arguments)
                for _ in range(min(100, count - len(found)))
            ]
            found += [answered_by(future.result()) for future in some]
        return found

    def close(self):
        self._channel.close()


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    for number in (1, 2, 3):
        lifecycle.put(root, "m", number, lifecycle.constant_model(number))
    (root / "m" / "model.toml").write_text("[versions]\nall = true\n")
    return root


@pytest.fixture
def put_version(repository):
    """A function that writes a version of model m."""
    return lambda number, value=None: lifecycle.put(
        repository, "m", number, lifecycle.constant_model(value or number)
    )


@pytest.fixture
def open_sides():
    """A function `(server) -> (ReleaseClient, Caller, Operator)`; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def connect(server):
            release = stack.enter_context(ReleaseClient(server.grpc, timeout=60))
            caller, operator = Caller(server), lifecycle.Operator(server)
            stack.callback(caller.close)
            stack.callback(operator.close)
            return release, caller, operator

        yield connect


@pytest.fixture
def steady_traffic():
    return lifecycle.SteadyTraffic


# What both transports are given, to be held against each other.
AGREED = {
    "entries": [{"version": 1, "weight": 2}, {"version": 2, "weight": 1}],
    "rules": [{"header": "x-tenant", "match": "prefix", "value": "ac", "version": 3}],
    "sticky": "header:x-user",
    "seed": 11,
}


@pytest.fixture(scope="session")
def sides(tmp_path_factory):
    """transport -> (server's address, a caller), each with the same route."""
    root = tmp_path_factory.mktemp("agreed")
    for number in (1, 2, 3):
        lifecycle.put(root, "m", number, lifecycle.constant_model(number))
    (root / "m" / "model.toml").write_text("[versions]\nall = true\n")
    found = {}
    with contextlib.ExitStack() as stack:
        for name in ("native", "grpcio"):
            state = tmp_path_factory.mktemp("state")
            server = ServerProcess(root, "--transport", name, "--state-dir", state)
            stack.callback(server.stop)
            with ReleaseClient(server.grpc, timeout=30) as release:
                release.set_route("m", AGREED)
            caller = Caller(server)
            stack.callback(caller.close)
            found[name] = (server.grpc, caller)
        yield found


def weights(**by_version):
    """weights(v1=90, v2=10) as a route."""
    return {
        "entries": [
            {"version": int(name[1:]), "weight": weight} for name, weight in by_version.items()
        ]
    }


@pytest.fixture
def weights_of():
    return weights


@pytest.fixture
def fastserve(capfd):
    """Runs the command line: `fastserve("shadow", "report")`; gives what it printed."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert exit_info.value.code == 0, err
        return out

    return run
