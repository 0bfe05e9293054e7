"""With a token file every method of every service asks for a token, on each transport."""

import grpc
import pytest

from fastserve._proto import (
    fastserve_control_pb2,
    fastserve_watch_pb2,
    health_pb2,
    open_inference_grpc_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
)
from tests.conftest import ServerProcess

TOKENS = ("first-token", "second-token")
MESSAGE = "a valid token is required: send metadata 'authorization: Bearer <token>'"
# Taken from the descriptors, so that a new RPC cannot be forgotten.
METHODS = [
    f"/{service.full_name}/{rpc.name}"
    for module in (
        open_inference_grpc_pb2,
        fastserve_control_pb2,
        fastserve_watch_pb2,
        health_pb2,
        reflection_pb2,
        reflection_v1alpha_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for rpc in service.methods
]
STRANGE = [
    "/inference.GRPCInferenceService/Nothing",
    "/x",
    "//inference.GRPCInferenceService/ModelInfer",
]


@pytest.fixture(scope="module", params=["native", "grpcio"])
def channel(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "repository").mkdir()
    (folder / "tokens").write_text("\n".join(TOKENS))
    server = ServerProcess(
        folder / "repository",
        *("--transport", request.param, "--token-file", folder / "tokens"),
    )
    with grpc.insecure_channel(server.grpc) as opened:
        yield opened
    server.stop()


def status(channel, path, *metadata):
    running = channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=5)
    try:
        next(running, None)
    except grpc.RpcError:
        pass
    else:
        running.cancel()
        return "answered", ""
    return running.code().name, running.details()


@pytest.mark.parametrize("path", METHODS + STRANGE)
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer ",
        "Bearer first-toke",
        "Bearer first-token ",
        "bearer first-token",
        "first-token",
        "Bearer first-tokenx",
        "Basic first-token",
    ],
)
def test_call_is_refused_without_a_known_token(channel, path, value):
    metadata = () if value is None else (("authorization", value),)
    assert status(channel, path, *metadata) == ("UNAUTHENTICATED", MESSAGE)


@pytest.mark.parametrize("token", TOKENS)
def test_call_is_answered_with_any_of_the_tokens(channel, token):
    path = "/inference.GRPCInferenceService/ServerLive"
    assert status(channel, path, ("authorization", f"Bearer {token}")) == ("answered", "")
