"""A fastserve server as a child process, whose log goes to a file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

READY_SECONDS = 30
STOP_SECONDS = 30


class Server:
    """Runs `fastserve serve` on loopback; `grpc` and `http` are the addresses it answers at.

    The server has its own session, so that it may outlive this process when it is asked to.
    """

    def __init__(self, repository: Path, log: Path, grpc_port: int = 0, http_port: int = 0) -> None:
        self._log = log
        with log.open("wb") as lines:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "fastserve", "serve", str(repository)),
                    *("--grpc", f"127.0.0.1:{grpc_port}", "--http", f"127.0.0.1:{http_port}"),
                ],
                stderr=lines,
                stdout=lines,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        started = time.monotonic()
        ready = self._ready_line()
        while ready is None:
            if self.process.poll() is not None or time.monotonic() - started > READY_SECONDS:
                self.process.kill()
                raise SystemExit(f"the server did not start; its log:\n{log.read_text()}")
            time.sleep(0.01)
            ready = self._ready_line()
        self.seconds_to_ready = time.monotonic() - started
        self.grpc = ready["grpc"]
        self.http = ready["http"]

    def _ready_line(self) -> dict[str, str] | None:
        for line in self._log.read_text().splitlines():
            if '"ready"' not in line:
                continue
            try:
                record: dict[str, str] = json.loads(line)
            except ValueError:  # only half of the line is written yet
                continue
            if record.get("event") == "ready":
                return record
        return None

    def resident_bytes(self) -> int:
        """Returns the memory that the process has in RAM now."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """Drains it by SIGTERM; ends the demo with an error when its exit status is not 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        if code != 0:
            raise SystemExit(f"the server ended with {code}; its log:\n{self._log.read_text()}")


def is_free(port: int) -> bool:
    """Tells whether nothing listens on that port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
