"""Processes that a figure needs, each pinned to its core and ended by its id."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SERVER_CORE = "0"
CLIENT_CORE = "1"
READY_SECONDS = 300.0  # with a thousand models
STOP_SECONDS = 30.0


class Child:
    """A process on given cores whose output goes to a file."""

    def __init__(
        self,
        command: Iterable[str],
        log: Path,
        cores: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as lines:
            self.process = subprocess.Popen(
                ["taskset", "-c", cores, *command],
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                env={**os.environ, **(environment or {})},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def resident_bytes(self) -> int:
        """Returns the memory that the process has in RAM now."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Fastserve(Child):
    """`fastserve serve` on loopback. `grpc` is the address that it answers at."""

    def __init__(
        self,
        repository: Path,
        log: Path,
        *,
        cores: str = SERVER_CORE,
        program: Iterable[str] = ("-m", "fastserve"),
        options: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = [sys.executable, *program, "serve", str(repository), "--grpc", "127.0.0.1:0"]
        super().__init__([*command, "--http", "127.0.0.1:0", *options], log, cores, environment)
        ready = self._ready()
        self.seconds_to_ready = time.monotonic() - self.started
        self.grpc: str = ready["grpc"]
        self.http: str = ready["http"]

    def _ready(self) -> dict[str, str]:
        while time.monotonic() - self.started < READY_SECONDS and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                if '"ready"' in line and line.endswith("}"):
                    record: dict[str, str] = json.loads(line)
                    if record.get("event") == "ready":
                        return record
            time.sleep(0.005)
        self.process.kill()
        raise SystemExit(f"the server did not start; its log:\n{self.log.read_text()}")

    def page(self) -> list[str]:
        """Returns the lines of the metrics page."""
        with urllib.request.urlopen(f"http://{self.http}/metrics") as page:
            lines: list[str] = page.read().decode().splitlines()
        return lines

    def sum_of(self, metric: str) -> float:
        """Returns the sum of a metric's samples."""
        found = [line for line in self.page() if line.startswith((f"{metric}{{", f"{metric} "))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def failures(self) -> dict[str, float]:
        """Returns how many requests failed, by reason. h2load sees HTTP's status, not gRPC's."""
        found: dict[str, float] = {}
        for line in self.page():
            if line.startswith("fastserve_failures_total{"):
                reason = line.split('reason="')[1].split('"')[0]
                found[reason] = found.get(reason, 0) + float(line.rsplit(" ", 1)[1])
        return {reason: count for reason, count in found.items() if count}

    def __exit__(self, *_: object) -> None:
        failures = self.failures() if self.process.poll() is None else {}
        failures.pop("cancelled", None)  # h2load leaves its last calls behind
        super().__exit__()
        if failures:
            raise SystemExit(f"requests failed, so the figure means nothing: {failures}")

    def url(self) -> str:
        """Returns where h2load sends a ModelInfer."""
        return f"http://{self.grpc}/inference.GRPCInferenceService/ModelInfer"


class Nghttpd(Child):
    """`nghttpd` serving one static file of 90 bytes: the limit of an HTTP/2 server in C."""

    def __init__(self, folder: Path, log: Path, *, cores: str = SERVER_CORE) -> None:
        program = shutil.which("nghttpd")
        if program is None:
            raise SystemExit("nghttpd is not installed: sudo apt-get install -y nghttp2-server")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").write_bytes(b"x" * 90)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [program, "--no-tls", "-a", "127.0.0.1", "-n", "1", "-m", "1024"]
        super().__init__([*command, "-d", str(folder), str(self.port)], log, cores)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() - self.started > READY_SECONDS:
                    raise SystemExit("nghttpd did not start") from None
                time.sleep(0.005)

    def url(self) -> str:
        """Returns the file's address."""
        return f"http://127.0.0.1:{self.port}/file"
