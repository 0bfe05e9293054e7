"""Who may call what: the table is total, and the rules are those that docs/security.md states."""

import re
from pathlib import Path

import pytest

from fastserve._proto import (
    fastserve_capture_pb2,
    fastserve_control_pb2,
    fastserve_feedback_pb2,
    fastserve_release_pb2,
    fastserve_rollout_pb2,
    fastserve_shadow_pb2,
    fastserve_watch_pb2,
    health_pb2,
    open_inference_grpc_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
)
from fastserve.config import check_settings
from fastserve.errors import Forbidden, Unauthenticated
from fastserve.rpc.access import (
    LEAST_ROLE,
    MAX_CLAIM_CHARACTERS,
    Access,
    actor_of,
    is_control_open,
    require,
)
from fastserve.rpc.context import Actor, CallContext
from fastserve.rpc.service import SERVICES
from fastserve.settings import load_settings
from fastserve.tokens import Role, Token

INFER = "/inference.GRPCInferenceService/ModelInfer"
LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"
TOKENS = (
    Token("web", Role.INFER, "web-token"),
    Token("ci", Role.OPERATOR, "ci-token-1"),
    Token("anna", Role.ADMIN, "anna-token"),
)
PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
# Taken from the descriptors, so that a new RPC cannot be forgotten.
DESCRIBED = {
    f"/{service.full_name}/{rpc.name}"
    for module in (
        open_inference_grpc_pb2,
        fastserve_capture_pb2,
        fastserve_control_pb2,
        fastserve_feedback_pb2,
        fastserve_release_pb2,
        fastserve_rollout_pb2,
        fastserve_shadow_pb2,
        fastserve_watch_pb2,
        health_pb2,
        reflection_pb2,
        reflection_v1alpha_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for rpc in service.methods
}


class Call(CallContext):
    def __init__(self, path, *metadata):
        super().__init__(path, "ipv4:127.0.0.1:1", -1, metadata)

    async def send_initial_metadata(self, metadata):
        raise AssertionError("no handler runs here")


def bearer(token):
    return ("authorization", f"Bearer {token}")


def test_every_rpc_has_its_least_role():
    assert LEAST_ROLE.keys() == DESCRIBED
    assert {path.split("/")[1] for path in LEAST_ROLE} == set(SERVICES)


@pytest.mark.parametrize("path", LEAST_ROLE)
@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token.role.word)
def test_each_role_may_do_what_its_and_smaller_roles_may(path, token):
    access = Access(TOKENS, is_control_open=False)
    call = Call(path, bearer(token.secret))
    if token.role >= LEAST_ROLE[path]:
        access.admit(call)
        assert call.actor == Actor(token.name, token.role)
        return
    with pytest.raises(Forbidden) as error:
        access.admit(call)
    rpc = path.rpartition("/")[2]
    assert error.value.message == (
        f"{rpc} needs the role {LEAST_ROLE[path].word}, the token {token.name!r} "
        f"has {token.role.word}"
    )


def test_method_without_an_entry_asks_for_an_admin():
    with pytest.raises(Forbidden):
        require("/fastserve.v1.Control/Surprise", Actor("ci", Role.OPERATOR))
    require("/fastserve.v1.Control/Surprise", Actor("anna", Role.ADMIN))


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", ""),),
        (("authorization", "web-token"),),
        (("authorization", "bearer web-token"),),
        (("authorization", "Bearer web-toke"),),
        (("authorization", "Bearer web-token "),),
        (("authorization", "Bearer "),),
        (("authorization", b"Bearer web-token"),),
        (("authorization", "Bearer wéb-token"),),
        (("authorization", "Bearer \ud800"),),
        # As in the core, the first one counts.
        (("authorization", "Bearer x"), bearer("web-token")),
    ],
)
def test_call_without_a_known_token_is_nobodys(metadata):
    with pytest.raises(Unauthenticated):
        actor_of(metadata, TOKENS, anonymous=Role.ADMIN)


@pytest.mark.parametrize(
    ("flags", "environment", "is_open"),
    [
        ({}, {}, True),
        ({"--grpc": ["unix:/run/x.sock", "[::1]:1", "localhost:1"]}, {}, True),
        ({"--grpc": ["127.0.0.1:1", "0.0.0.0:1"], "--allow-insecure": True}, {}, False),
        (
            {"--grpc": ["0.0.0.0:1"], "--allow-insecure": True},
            {"FASTSERVE_SECURITY__ALLOW_INSECURE_CONTROL": "true"},
            True,
        ),
    ],
)
def test_server_without_tokens_lets_its_own_machine_alone_change_models(
    tmp_path, flags, environment, is_open
):
    settings = load_settings(None, environment, {"REPOSITORY": tmp_path} | flags).settings
    check_settings(settings)
    access = Access((), is_control_open=is_control_open(settings))
    access.admit(Call(INFER))
    if is_open:
        access.admit(Call(LOAD))
        return
    with pytest.raises(Forbidden) as error:
        access.admit(Call(LOAD))
    assert "configure tokens" in error.value.message
    assert "security.allow_insecure_control = true" in error.value.message


def test_open_control_opens_nothing_once_there_are_tokens():
    access = Access(TOKENS, is_control_open=True)
    with pytest.raises(Unauthenticated):
        access.admit(Call(INFER))
    with pytest.raises(Forbidden):
        access.admit(Call(LOAD, bearer("web-token")))


def test_claim_is_bounded_printable_and_gives_nothing():
    claim = "anna\r\n\x1b[0m\u2028é" + "x" * 10_000
    call = Call(LOAD, bearer("ci-token-1"), ("fastserve-actor", claim))
    Access(TOKENS, is_control_open=False).admit(call)
    assert call.actor.name == "ci"
    assert call.actor.claimed.startswith("anna???[0m??xxx")
    assert len(call.actor.claimed) == MAX_CLAIM_CHARACTERS
    with pytest.raises(Unauthenticated):
        actor_of((("fastserve-actor", "anna"),), TOKENS, anonymous=Role.ADMIN)


def test_core_gets_every_secret():
    access = Access(TOKENS, is_control_open=False)
    assert access.secrets == ("web-token", "ci-token-1", "anna-token")


def test_page_names_each_rpc_under_its_role():
    rows = re.findall(r"^\| `(infer|operator|admin)` \| (.*) \|$", PAGE, re.MULTILINE)
    stated = {(role, rpc) for role, cell in rows for rpc in re.findall(r"`([A-Z]\w+)`", cell)}
    actual = {(role.word, path.rpartition("/")[2]) for path, role in LEAST_ROLE.items()}
    assert stated == actual
