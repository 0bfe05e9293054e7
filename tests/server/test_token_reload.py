"""SIGHUP reads the token file again: new tokens hold at once, a bad file changes nothing."""

import json
import signal

import grpc
import pytest

from tests.server.test_tokens import status

LIVE = "/inference.GRPCInferenceService/ServerLive"
CONTROL = "/fastserve.v1.Control/ListModels"
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(params=["native", "grpcio"])
def served(request, tmp_path, start_server):
    """(server, its token file, its repository)."""
    repository = tmp_path / "repository"
    repository.mkdir()
    tokens = tmp_path / "tokens"
    tokens.write_text("old operator old-token")
    server = start_server(repository, "--transport", request.param, "--token-file", tokens)
    return server, tokens, repository


@pytest.fixture
def channel(served):
    with grpc.insecure_channel(served[0].grpc) as opened:
        yield opened


def hang_up(server, expected):
    server.process.send_signal(signal.SIGHUP)
    return server.wait_for(expected, 30)


def bearer(token):
    return ("authorization", f"Bearer {token}")


def test_new_tokens_hold_for_every_method_and_old_ones_are_refused(served, channel):
    server, tokens, _ = served
    assert status(channel, INFER, bearer("old-token"))[0] != "UNAUTHENTICATED"
    tokens.write_text("new operator new-token\nweb infer web-token")
    logged = hang_up(server, "tokens read again")
    assert logged["tokens"] == {"new": "operator", "web": "infer"}
    for path in (LIVE, CONTROL, INFER):
        assert status(channel, path, bearer("old-token"))[0] == "UNAUTHENTICATED"
        assert status(channel, path, bearer("new-token"))[0] != "UNAUTHENTICATED"
    assert status(channel, CONTROL, bearer("web-token"))[0] == "PERMISSION_DENIED"


@pytest.mark.parametrize("text", ["", "# nobody", "short", "a b c d", None])
def test_old_tokens_are_kept_when_the_new_file_is_bad(served, channel, text):
    server, tokens, _ = served
    if text is None:
        tokens.unlink()
    else:
        tokens.write_text(text)
    logged = hang_up(server, "tokens kept")
    assert "token file" in logged["reason"]
    assert status(channel, LIVE, bearer("old-token"))[0] == "answered"
    assert status(channel, LIVE)[0] == "UNAUTHENTICATED"


def test_reload_is_in_the_audit_log_and_no_secret_is(served):
    server, tokens, repository = served
    tokens.write_text("new operator new-token")
    hang_up(server, "tokens read again")
    tokens.write_text("new operator new-token\nnew operator other-token")
    hang_up(server, "tokens kept")
    server.stop()
    text = "".join(
        path.read_text() for path in (repository / ".fastserve" / "audit").glob("*.jsonl")
    )
    good, bad = (
        record
        for record in map(json.loads, text.splitlines())
        if record["action"] == "tokens.reload"
    )
    assert (good["outcome"], good["before"], good["after"]) == (
        "ok",
        {"old": "operator"},
        {"new": "operator"},
    )
    assert (bad["outcome"], bad["after"]) == ("refused", {"new": "operator"})
    assert "has the name of an earlier token" in bad["reason"]
    assert [secret for secret in ("old-token", "new-token", "other-token") if secret in text] == []
