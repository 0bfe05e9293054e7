"""Where to listen, or to connect to."""

import ipaddress
import re
from typing import Final

from fastserve.config.group import Group
from fastserve.errors import InvalidConfig

_MAX_PORT: Final = 65_535


class Address(Group, frozen=True):
    """Where to listen: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    unix_path: str = ""

    @property
    def is_public(self) -> bool:
        """Other machines may reach it. A name that is not an address counts, but for localhost."""
        if self.unix_path or self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    def __str__(self) -> str:
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[V6]:PORT` or `unix:PATH`. Errors: InvalidConfig."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise InvalidConfig(f"address {text!r} names no path: write unix:/run/fastserve.sock")
        return Address(unix_path=path)
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _MAX_PORT:
        raise InvalidConfig(f"address {text!r}: expected HOST:PORT with a port up to 65535")
    return Address(host=host, port=int(port))
