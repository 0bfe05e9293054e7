"""Who may call which method: one table for every RPC, one check for both transports.

The native transport's ModelInfer and ModelStreamInfer never come here: the core asks for a token by
itself (csrc/fastserve/front/thread_front.cc), and every role may infer.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from fastserve.config import Settings
from fastserve.errors import Forbidden, Unauthenticated
from fastserve.observe.actor_names import ActorNames
from fastserve.rpc.context import Actor, CallContext, Metadata
from fastserve.tokens import ANONYMOUS, Role, Token

CLAIM_KEY: Final = "fastserve-actor"
MAX_CLAIM_CHARACTERS: Final = 128
# As csrc/fastserve/front/thread_front.cc says it.
UNAUTHENTICATED: Final = "a valid token is required: send metadata 'authorization: Bearer <token>'"

# In place of a token's, for callers without a valid one (core.CallRecord.token).
REFUSED: Final = -2

_KEY: Final = "authorization"
_BEARER: Final = "Bearer "

# The least role of each method. What is not in the table asks for an admin; a test wants it total.
LEAST_ROLE: Final[Mapping[str, Role]] = {
    "/inference.GRPCInferenceService/ServerLive": Role.INFER,
    "/inference.GRPCInferenceService/ServerReady": Role.INFER,
    "/inference.GRPCInferenceService/ServerMetadata": Role.INFER,
    "/inference.GRPCInferenceService/ModelReady": Role.INFER,
    "/inference.GRPCInferenceService/ModelMetadata": Role.INFER,
    "/inference.GRPCInferenceService/ModelConfig": Role.INFER,
    "/inference.GRPCInferenceService/ModelStatistics": Role.INFER,
    "/inference.GRPCInferenceService/ModelInfer": Role.INFER,
    "/inference.GRPCInferenceService/ModelStreamInfer": Role.INFER,
    "/inference.GRPCInferenceService/RepositoryIndex": Role.OPERATOR,
    "/inference.GRPCInferenceService/RepositoryModelLoad": Role.OPERATOR,
    "/inference.GRPCInferenceService/RepositoryModelUnload": Role.OPERATOR,
    # Refused for everybody, with a reason that clients should see.
    "/inference.GRPCInferenceService/SystemSharedMemoryStatus": Role.INFER,
    "/inference.GRPCInferenceService/SystemSharedMemoryRegister": Role.INFER,
    "/inference.GRPCInferenceService/SystemSharedMemoryUnregister": Role.INFER,
    "/inference.GRPCInferenceService/CudaSharedMemoryStatus": Role.INFER,
    "/inference.GRPCInferenceService/CudaSharedMemoryRegister": Role.INFER,
    "/inference.GRPCInferenceService/CudaSharedMemoryUnregister": Role.INFER,
    "/inference.GRPCInferenceService/TraceSetting": Role.ADMIN,
    "/inference.GRPCInferenceService/LogSettings": Role.ADMIN,
    "/grpc.health.v1.Health/Check": Role.INFER,
    "/grpc.health.v1.Health/Watch": Role.INFER,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": Role.INFER,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.INFER,
    # Who asked for a prediction is who learns what was true.
    "/fastserve.v1.Feedback/Send": Role.INFER,
    "/fastserve.v1.Feedback/SendMany": Role.INFER,
    "/fastserve.v1.Feedback/ShowQuality": Role.OPERATOR,
    "/fastserve.v1.Control/ListModels": Role.OPERATOR,
    "/fastserve.v1.Control/DescribeModel": Role.OPERATOR,
    "/fastserve.v1.Control/CheckModel": Role.OPERATOR,
    "/fastserve.v1.Control/PushModel": Role.OPERATOR,
    "/fastserve.v1.Control/LoadModel": Role.OPERATOR,
    "/fastserve.v1.Control/ReloadModel": Role.OPERATOR,
    "/fastserve.v1.Control/UnloadModel": Role.OPERATOR,
    "/fastserve.v1.Control/SetLabel": Role.OPERATOR,
    "/fastserve.v1.Control/RemoveLabel": Role.OPERATOR,
    "/fastserve.v1.Control/WaitModel": Role.OPERATOR,
    "/fastserve.v1.Control/ShowConfig": Role.OPERATOR,
    "/fastserve.v1.Control/ShowAudit": Role.OPERATOR,
    "/fastserve.v1.Control/VerifyAudit": Role.OPERATOR,
    "/fastserve.v1.Capture/Status": Role.OPERATOR,
    # What clients sent and got, as the configuration lets it be kept.
    "/fastserve.v1.Capture/Export": Role.ADMIN,
    "/fastserve.v1.Release/ShowRoutes": Role.OPERATOR,
    "/fastserve.v1.Release/SetRoute": Role.OPERATOR,
    "/fastserve.v1.Release/RemoveRoute": Role.OPERATOR,
    "/fastserve.v1.Release/ExplainRoute": Role.OPERATOR,
    "/fastserve.v1.Release/RouteResults": Role.OPERATOR,
    "/fastserve.v1.Shadow/Start": Role.OPERATOR,
    "/fastserve.v1.Shadow/Stop": Role.OPERATOR,
    "/fastserve.v1.Shadow/Report": Role.OPERATOR,
    "/fastserve.v1.Watch/ShowDrift": Role.OPERATOR,
    "/fastserve.v1.Watch/FreezeProfile": Role.OPERATOR,
    "/fastserve.v1.Watch/PutProfile": Role.OPERATOR,
    "/fastserve.v1.Watch/ListAlarms": Role.OPERATOR,
    "/fastserve.v1.Rollouts/Start": Role.OPERATOR,
    "/fastserve.v1.Rollouts/Status": Role.OPERATOR,
    "/fastserve.v1.Rollouts/Pause": Role.OPERATOR,
    "/fastserve.v1.Rollouts/Resume": Role.OPERATOR,
    "/fastserve.v1.Rollouts/Promote": Role.OPERATOR,
    "/fastserve.v1.Rollouts/Rollback": Role.OPERATOR,
    "/fastserve.v1.Rollouts/History": Role.OPERATOR,
}


class Access:
    """The rules of one server. Thread: any."""

    def __init__(
        self,
        tokens: Sequence[Token],
        *,
        is_control_open: bool,
        names: ActorNames | None = None,
    ) -> None:
        """`is_control_open`: without tokens, everybody who reaches the server is an admin."""
        self._tokens = tuple(tokens)
        self._names = ActorNames([token.name for token in tokens]) if names is None else names
        self._anonymous = Role.ADMIN if is_control_open else Role.INFER

    @property
    def secrets(self) -> tuple[str, ...]:
        """For the core, which takes any of them."""
        return tuple(token.secret for token in self._tokens)

    def replace(self, tokens: Sequence[Token]) -> None:
        """Calls that start after this need one of these. Errors: ValueError when there is none."""
        if not tokens:
            raise ValueError("without a token every caller would be let in")
        self._tokens = tuple(tokens)
        self._names.replace([token.name for token in tokens])

    def identify(self, metadata: Metadata) -> Actor:
        """Errors: Unauthenticated."""
        return actor_of(metadata, self._tokens, anonymous=self._anonymous)

    def admit(self, context: CallContext) -> None:
        """Sets the call's actor. Errors: Unauthenticated, Forbidden."""
        context.actor = self.identify(context.metadata)
        context.token = self._names.number_of(context.actor.name)
        require(context.path, context.actor)


def is_control_open(settings: Settings) -> bool:
    """Whether a server without tokens lets all its callers change models."""
    return settings.security.allow_insecure_control or not any(
        address.is_public for address in settings.listen.grpc
    )


def actor_of(metadata: Metadata, tokens: Sequence[Token], *, anonymous: Role) -> Actor:
    """Who calls, by the token that came along; where none is asked for, anybody as `anonymous`.

    Errors: Unauthenticated when tokens are asked for and none of them came.
    """
    claimed = _printable(_first(metadata, CLAIM_KEY))
    if not tokens:
        return Actor(ANONYMOUS, anonymous, claimed)
    value = _first(metadata, _KEY)
    given = value.removeprefix(_BEARER).encode(errors="replace")
    # Every token is compared, in constant time, whichever fits.
    fitting = [token for token in tokens if hmac.compare_digest(given, token.secret.encode())]
    if not value.startswith(_BEARER) or not fitting:
        raise Unauthenticated(UNAUTHENTICATED)
    return Actor(fitting[0].name, fitting[0].role, claimed)


def require(path: str, actor: Actor) -> None:
    """Errors: Forbidden with the role that the method needs and the one that `actor` has."""
    least = LEAST_ROLE.get(path, Role.ADMIN)
    if actor.role >= least:
        return
    rpc = path.rpartition("/")[2]
    if actor.name == ANONYMOUS:
        raise Forbidden(
            f"{rpc} needs the role {least.word}; a server without tokens that other machines can "
            "reach gives it to nobody: configure tokens, or set "
            "security.allow_insecure_control = true"
        )
    raise Forbidden(
        f"{rpc} needs the role {least.word}, the token {actor.name!r} has {actor.role.word}"
    )


def _first(metadata: Metadata, key: str) -> str:
    for name, value in metadata:
        if name == key and isinstance(value, str):
            return value
    return ""


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:MAX_CLAIM_CHARACTERS])
