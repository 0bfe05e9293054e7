"""How to reach a server: target, credentials and options of a grpcio channel."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import grpc

from fastserve.errors import InvalidConfig

Metadata = Sequence[tuple[str, str | bytes]]
Compression = Literal["gzip", "deflate"]

_MAX_PORT: Final = 65_535
# Names that grpcio resolves by itself, passed on as they are.
_GRPC_SCHEMES: Final = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:", "vsock:")
_COMPRESSIONS: Final = {
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}


@dataclass(frozen=True, slots=True)
class TLS:
    """Settings of a TLS connection; PEM bytes. Without roots the system's are used.

    `server_name` is the name that the server's certificate must carry when it is not the target's
    host.
    """

    root_certificates: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise InvalidConfig(
                f"a client certificate and its key go together: the {missing} is missing"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """Everything that decides the channel and what is sent with each call."""

    target: str
    token: str | None
    tls: TLS | None
    metadata: tuple[tuple[str, str | bytes], ...]
    max_message_bytes: int
    compression: Compression | None

    def credentials(self) -> grpc.ChannelCredentials | None:
        if self.tls is None:
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=self.tls.root_certificates,
            private_key=self.tls.key,
            certificate_chain=self.tls.certificate,
        )

    def options(self) -> list[tuple[str, Any]]:
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", self.max_message_bytes),
            # Clients of one process each get a connection of their own, as their names suggest.
            ("grpc.use_local_subchannel_pool", 1),
            # grpcio would wait a second before it connects again; our backoff starts far below.
            # Its grpc.min_reconnect_backoff_ms is left alone: it also bounds how long the making of
            # a connection may take, which on a busy machine is long.
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if self.tls is not None and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options

    def call_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What goes with every call."""
        if self.token is None:
            return self.metadata
        return (("authorization", f"Bearer {self.token}"), *self.metadata)

    def grpc_compression(self) -> grpc.Compression | None:
        return None if self.compression is None else _COMPRESSIONS[self.compression]


def read_settings(
    target: str,
    *,
    token: str | None,
    tls: bool | TLS | None,
    metadata: Metadata,
    max_message_bytes: int,
    compression: str | None,
) -> ChannelSettings:
    """Settings from what the constructors take. Raises InvalidConfig."""
    if compression not in {None, "gzip", "deflate"}:
        raise InvalidConfig(f"compression is {compression!r}, expected 'gzip', 'deflate' or None")
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise InvalidConfig("the token must be printable ASCII without spaces")
    if isinstance(tls, bool):
        tls = TLS() if tls else None
    return ChannelSettings(
        target=check_target(target),
        token=token,
        tls=tls,
        metadata=lower_keys(metadata),
        max_message_bytes=max_message_bytes,
        compression=compression,  # type: ignore[arg-type]
    )


def check_target(target: str) -> str:
    """`target` in grpcio's form. Raises InvalidConfig unless it is HOST:PORT or unix:PATH."""
    if target.startswith(_GRPC_SCHEMES):
        return target
    scheme, found, rest = target.partition("://")
    if found:
        raise InvalidConfig(
            f"endpoint {target!r} has the scheme {scheme!r}, expected HOST:PORT or unix:PATH; "
            f"write {rest.rstrip('/')!r}"
        )
    host, _, port = target.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _MAX_PORT:
        raise InvalidConfig(
            f"endpoint {target!r}: expected HOST:PORT or unix:PATH, for example 127.0.0.1:8001"
        )
    return target


def lower_keys(metadata: Metadata) -> tuple[tuple[str, str | bytes], ...]:
    """GRPC knows lower-case keys alone, people copy them from HTTP headers."""
    return tuple((key.lower(), value) for key, value in metadata)
