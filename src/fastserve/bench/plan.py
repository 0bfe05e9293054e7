"""What a load is, as the command line said it, and the core's run of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastserve._core.core import CoreError, LoadRun
from fastserve.errors import InvalidConfig, from_core

_MAX_PORT: Final = 65535


@dataclass(frozen=True)
class TargetTLS:
    """How a server is connected to with TLS; PEM bytes, empty where there is none.

    Without authorities those of the system are trusted. `server_name` is what the server's
    certificate must be for when that is not the endpoint's host.
    """

    authorities: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    server_name: str = ""


@dataclass(frozen=True)
class Target:
    """A server: an address and what goes with every request."""

    endpoint: str  # HOST:PORT or unix:PATH
    headers: tuple[tuple[str, str | bytes], ...] = ()
    tls: TargetTLS | None = None

    def arguments(self) -> dict[str, Any]:
        """What names it to LoadRun. Errors: InvalidConfig."""
        address = self._address()
        if self.tls is None:
            return address
        if self.tls.server_name:
            address["authority"] = self.tls.server_name  # as gRPC's clients do
        # The zone of a link-local address is this machine's, not a part of what it is called.
        host, _, _zone = str(address.get("host", "localhost")).partition("%")
        return {
            **address,
            "tls": (self.tls.authorities, self.tls.certificate, self.tls.key),
            "server_name": self.tls.server_name or host,
        }

    def _address(self) -> dict[str, str | int]:
        if self.endpoint.startswith("unix:"):
            # unix:PATH, unix:/PATH and unix:///PATH, as grpcio takes them.
            path = re.sub(r"^unix:(//(?=/))?", "", self.endpoint)
            return {"unix_path": path, "authority": "localhost"}
        host, colon, port = self.endpoint.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isdecimal() or int(port) > _MAX_PORT:
            raise InvalidConfig(
                f"endpoint {self.endpoint!r}: expected HOST:PORT or unix:PATH, "
                "for example 127.0.0.1:8001"
            )
        return {"host": host, "port": int(port), "authority": self.endpoint}


@dataclass(frozen=True)
class Payload:
    """A serialised ModelInferRequest and the model that it asks."""

    model: str
    message: bytes


@dataclass(frozen=True)
class Plan:
    """How much, how and until when. Rates are of all threads together; times in seconds."""

    connections: int = 4
    in_flight: int = 1
    threads: int = 1
    requests_per_second: float = 0.0  # 0: a closed loop
    is_poisson: bool = True
    seed: int = 1
    max_requests: int = 0
    seconds: float | None = None
    warm_up_seconds: float = 0.0
    deadline_seconds: float | None = None
    drain_seconds: float = 5.0  # for answers after the last request
    connect_seconds: float = 5.0  # also until a lost server is given up


def start(
    target: Target, payloads: Sequence[Payload], plan: Plan, *, method: str = "ModelInfer"
) -> LoadRun:
    """Starts the load. Errors: InvalidConfig, and what from_core makes of a broken target."""
    models = models_of(payloads)
    try:
        return LoadRun(
            [(models.index(payload.model), payload.message) for payload in payloads],
            groups=len(models),
            path=f"/inference.GRPCInferenceService/{method}",
            headers=target.headers,
            threads=plan.threads,
            connections=plan.connections,
            in_flight=plan.in_flight,
            per_second=plan.requests_per_second,
            is_poisson=plan.is_poisson,
            seed=plan.seed,
            max_requests=plan.max_requests,
            duration_ns=_ns(plan.seconds),
            warm_up_ns=_ns(plan.warm_up_seconds),
            deadline_ns=_ns(plan.deadline_seconds),
            drain_ns=_ns(plan.drain_seconds),
            connect_timeout_ns=_ns(plan.connect_seconds),
            **target.arguments(),
        )
    except CoreError as error:
        if error.code == InvalidConfig.code:
            raise InvalidConfig(str(error.args[0])) from None
        raise from_core(error) from None


def models_of(payloads: Sequence[Payload]) -> list[str]:
    """The models in the order in which they are counted."""
    return list(dict.fromkeys(payload.model for payload in payloads))


def _ns(seconds: float | None) -> int:
    return -1 if seconds is None else round(seconds * 1e9)
