"""The options that say which server to ask and how, and the client that they make."""

import getpass
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from fastserve.cli.finite_range import FiniteRange
from fastserve.cli.system_authorities import system_authorities

if TYPE_CHECKING:
    from fastserve.client import (
        TLS,
        CaptureClient,
        Client,
        ControlClient,
        ReleaseClient,
        RolloutClient,
        ShadowClient,
        WatchClient,
    )

DEFAULT_ENDPOINT: Final = "127.0.0.1:8001"
_CALL_SECONDS: Final = 30.0
_LOAD_SECONDS: Final = 600.0

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--endpoint",
        metavar="HOST:PORT",
        envvar="FASTSERVE_ENDPOINT",
        default=DEFAULT_ENDPOINT,
        show_default=True,
        show_envvar=True,
        help="The server; also unix:PATH.",
    ),
    click.option("--token", envvar="FASTSERVE_TOKEN", show_envvar=True, help="The token to send."),
    click.option("--token-file", type=_FILE, help="Send the first token of this file."),
    click.option("--tls", is_flag=True, help="Use TLS; trust the system's authorities."),
    click.option("--tls-ca", type=_FILE, help="Use TLS; trust these authorities, PEM."),
    click.option("--tls-cert", type=_FILE, help="Show this certificate to the server, PEM."),
    click.option("--tls-key", type=_FILE, help="The key of --tls-cert, PEM."),
    click.option("--tls-server-name", default="", help="Expect this name in the certificate."),
)


class Endpoint(NamedTuple):
    """Where and how to connect, as the command line said it."""

    endpoint: str
    token: str | None
    token_file: Path | None
    tls: bool
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_server_name: str
    timeout: float

    def connect(self) -> "Client":
        """A client; nothing is sent yet. Errors: InvalidConfig."""
        from fastserve.client import Client  # noqa: PLC0415 - grpc and numpy load slowly

        return Client(self.endpoint, **self._connection())

    def connect_control(self) -> "ControlClient":
        """A client of what fastserve alone has, that says who asks. Errors: InvalidConfig."""
        from fastserve.client import ControlClient  # noqa: PLC0415 - grpc loads slowly

        return ControlClient(
            self.endpoint,
            **self._connection(),
            metadata=(("fastserve-actor", claimed_actor()),),
        )

    def connect_capture(self) -> "CaptureClient":
        """A client of what the server captured. Errors: InvalidConfig."""
        from fastserve.client import CaptureClient  # noqa: PLC0415 - grpc loads slowly

        return CaptureClient(
            self.endpoint,
            **self._connection(),
            metadata=(("fastserve-actor", claimed_actor()),),
        )

    def connect_rollout(self) -> "RolloutClient":
        """A client of rollouts, that says who asks. Errors: InvalidConfig."""
        from fastserve.client import RolloutClient  # noqa: PLC0415 - grpc loads slowly

        return RolloutClient(
            self.endpoint,
            **self._connection(),
            metadata=(("fastserve-actor", claimed_actor()),),
        )

    def connect_shadow(self) -> "ShadowClient":
        """A client of shadows, that says who asks. Errors: InvalidConfig."""
        from fastserve.client import ShadowClient  # noqa: PLC0415 - grpc loads slowly

        return ShadowClient(
            self.endpoint,
            **self._connection(),
            metadata=(("fastserve-actor", claimed_actor()),),
        )

    def connect_watch(self) -> "WatchClient":
        """A client of drift and alarms, that says who asks. Errors: InvalidConfig."""
        from fastserve.client import WatchClient  # noqa: PLC0415 - grpc loads slowly

        return WatchClient(
            self.endpoint,
            **self._connection(),
            metadata=(("fastserve-actor", claimed_actor()),),
        )

    def connect_release(self) -> "ReleaseClient":
        """A client of routes, that says who asks. Errors: InvalidConfig."""
        from fastserve.client import ReleaseClient  # noqa: PLC0415 - grpc loads slowly

        return ReleaseClient(
            self.endpoint,
            **self._connection(),
            metadata=(("fastserve-actor", claimed_actor()),),
        )

    @property
    def uses_tls(self) -> bool:
        named = (self.tls_server_name, self.tls_ca, self.tls_cert, self.tls_key)
        return self.tls or any(named)

    def read_tls(self) -> "TLS | None":
        """The files of the TLS options; without --tls-ca no roots. None: no TLS.

        Errors: InvalidConfig, click.UsageError, OSError.
        """
        from fastserve.client import TLS  # noqa: PLC0415 - grpc loads slowly

        if not self.uses_tls:
            return None
        roots = _read(self.tls_ca)
        if roots == b"":
            raise click.UsageError(f"--tls-ca {str(self.tls_ca)!r} is empty, expected PEM")
        return TLS(
            root_certificates=roots,
            certificate=_read(self.tls_cert),
            key=_read(self.tls_key),
            server_name=self.tls_server_name,
        )

    def _connection(self) -> dict[str, Any]:
        tls = self.read_tls()
        if tls is not None and tls.root_certificates is None:
            tls = replace(tls, root_certificates=system_authorities())
        return {
            "token": self.find_token(),
            "tls": tls,
            "timeout": self.timeout,
            "max_message_bytes": -1,  # what a person asked for on purpose may be large
        }

    def find_token(self) -> str | None:
        """The token to send, from wherever it was given. Errors: click.UsageError."""
        if self.token_file is None:
            return self.token or None
        if self.token:
            raise click.UsageError("--token and --token-file are both given; drop one of them")
        for line in self.token_file.read_text().splitlines():
            # TOKEN, or NAME ROLE TOKEN: the server's own file serves as well.
            words = line.split()
            if words and not words[0].startswith("#"):
                return words[-1]
        raise click.UsageError(f"token file {str(self.token_file)!r} holds no token")


def endpoint_options(
    function: Callable[..., Any], timeout: float = _CALL_SECONDS
) -> Callable[..., Any]:
    """Adds the options; the command takes them as `**options` and calls `take_endpoint`."""
    function = click.option(
        "--timeout",
        type=FiniteRange(min=0, min_open=True),
        default=timeout,
        show_default=True,
        help="Seconds that each call may take.",
    )(function)
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def load_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`endpoint_options` for calls that wait for a model to load."""
    return endpoint_options(function, _LOAD_SECONDS)


def take_endpoint(options: dict[str, Any]) -> Endpoint:
    """Removes the options of this module from `options`."""
    return Endpoint(**{name: options.pop(name) for name in Endpoint._fields})


def claimed_actor() -> str:
    """Who the server's audit log is told to name: FASTSERVE_ACTOR, else login and machine."""
    claimed = os.environ.get("FASTSERVE_ACTOR", "")
    if not claimed:
        try:
            login = getpass.getuser()
        except (KeyError, OSError):  # no name for this number, as in many containers
            login = f"uid-{os.getuid()}"
        claimed = f"{login}@{socket.gethostname()}"
    # What a header can carry.
    return "".join(c if " " <= c <= "~" else "?" for c in claimed).strip()


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
