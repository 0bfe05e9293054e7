"""Tokens with roles on a real server, on each transport."""

import grpc
import pytest

from fastserve._proto import fastserve_control_pb2 as control, open_inference_grpc_pb2 as pb
from tests.conftest import ServerProcess

SERVICE = "/inference.GRPCInferenceService"
SHOW_CONFIG = "/fastserve.v1.Control/ShowConfig"
TOKENS = {"infer": "web-token", "operator": "ci-token-1", "admin": "anna-token"}
# What is said of a call that got past the check, whatever then becomes of it.
PASSED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"}


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("roles")
    (folder / "repository").mkdir()
    lines = [f"{role}-name {role} {token}" for role, token in TOKENS.items()]
    (folder / "tokens").write_text("# three roles\n" + "\n".join(lines))
    server = ServerProcess(
        folder / "repository",
        *("--transport", request.param, "--token-file", folder / "tokens"),
    )
    yield server
    server.stop()


def call(server, path, token=None, message=b"", *metadata):
    if token:
        metadata = (("authorization", f"Bearer {token}"), *metadata)
    with grpc.insecure_channel(server.grpc) as channel:
        running = channel.stream_stream(path)(iter([message]), metadata=metadata, timeout=10)
        try:
            answers = list(running)
        except grpc.RpcError:
            answers = []
        return running.code().name, running.details(), answers


@pytest.mark.parametrize("role", TOKENS)
def test_every_role_may_infer(server, role):
    request = pb.ModelInferRequest(model_name="absent").SerializeToString()
    assert call(server, f"{SERVICE}/ModelInfer", TOKENS[role], request)[0] == "NOT_FOUND"
    assert call(server, f"{SERVICE}/ModelStreamInfer", TOKENS[role], request)[0] == "OK"
    assert call(server, f"{SERVICE}/ServerLive", TOKENS[role])[0] == "OK"


@pytest.mark.parametrize(
    ("rpc", "least"),
    [
        (f"{SERVICE}/RepositoryIndex", "operator"),
        (f"{SERVICE}/RepositoryModelLoad", "operator"),
        (f"{SERVICE}/RepositoryModelUnload", "operator"),
        (SHOW_CONFIG, "operator"),
        (f"{SERVICE}/LogSettings", "admin"),
        (f"{SERVICE}/TraceSetting", "admin"),
    ],
)
def test_smaller_roles_are_told_which_one_they_need(server, rpc, least):
    ranks = list(TOKENS)
    for role, token in TOKENS.items():
        code, message, _ = call(server, rpc, token)
        if ranks.index(role) >= ranks.index(least):
            assert code in PASSED, message
        else:
            name = rpc.rpartition("/")[2]
            expected = f"{name} needs the role {least}, the token '{role}-name' has {role}"
            assert (code, message) == ("PERMISSION_DENIED", expected)


def test_claiming_to_be_somebody_gives_no_role(server):
    claim = ("fastserve-actor", "admin-name")
    code, _, _ = call(server, SHOW_CONFIG, TOKENS["infer"], b"", claim)
    assert code == "PERMISSION_DENIED"


def test_show_config_tells_settings_and_sources_and_no_secret(server):
    code, message, answers = call(server, SHOW_CONFIG, TOKENS["operator"])
    assert code == "OK", message
    assert not any(token.encode() in answers[0] for token in TOKENS.values())
    shown = control.ShowConfigResponse.FromString(answers[0])
    settings = {each.path: (each.value, each.source) for each in shown.settings}
    assert settings["listen.grpc"] == ('["127.0.0.1:0"]', "--grpc")
    assert settings["limits.max_queue_rows"] == ("16384", "default")
    assert settings["security.token_file"][0].endswith('/tokens"')


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_server_without_tokens_that_others_reach_has_no_control(start_server, tmp_path, transport):
    def start(**environment):
        return start_server(
            tmp_path,
            *("--transport", transport, "--grpc", "0.0.0.0:0", "--allow-insecure"),
            env=environment,
        )

    closed = start()
    code, message, _ = call(closed, f"{SERVICE}/RepositoryModelLoad")
    assert (code, "configure tokens" in message) == ("PERMISSION_DENIED", True)
    assert call(closed, f"{SERVICE}/ServerLive")[0] == "OK"
    opened = start(FASTSERVE_SECURITY__ALLOW_INSECURE_CONTROL="true")
    assert call(opened, f"{SERVICE}/RepositoryModelLoad")[0] in PASSED
    assert call(opened, SHOW_CONFIG)[0] == "OK"
