"""Runs Debian's h2load against one server and reads what it measured."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from children import CLIENT_CORE

GRPC_HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")


@dataclass(frozen=True)
class Load:
    """One run: requests answered per second, and each answer's time in microseconds if logged."""

    requests_per_second: float
    microseconds: tuple[int, ...] = ()

    def percentile(self, share: float) -> float:
        """Returns the time that `share` of the answers stayed within, in microseconds."""
        ordered = sorted(self.microseconds)
        return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def run(
    url: str,
    *,
    connections: int,
    in_flight: int = 1,
    seconds: float = 2.0,
    body: Path | None = None,
    requests_per_second: int = 0,
    requests: int = 0,
    log: bool = False,
    headers: tuple[str, ...] = (),
) -> Load:
    """Closed loop, or open loop when `requests_per_second` (all connections together) is given.

    Errors: SystemExit when any request failed, since a figure with failures means nothing.
    """
    program = shutil.which("h2load")
    if program is None:
        raise SystemExit("h2load is not installed: sudo apt-get install -y nghttp2-client")
    command = ["taskset", "-c", CLIENT_CORE, program, "-t", "1"]
    command += ["-c", str(connections), "-m", str(in_flight)]
    if requests:
        command += ["-n", str(requests)]
    else:
        command += ["-D", f"{round(seconds * 1000)}ms", "--warm-up-time", "300ms"]
    if requests_per_second:
        command += ["--rps", str(requests_per_second / connections)]
    if body is not None:
        command += ["-d", str(body), *GRPC_HEADERS]
        for header in headers:
            command += ["-H", header]
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "times"
        if log:
            command += ["--log-file", str(times)]
        done = subprocess.run([*command, url], capture_output=True, text=True, check=False)
        found = re.search(r"finished in [\d.]+[mu]?s, ([\d.]+) req/s", done.stdout)
        counts = re.search(
            r"(\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
            done.stdout,
        )
        if done.returncode != 0 or found is None or counts is None:
            raise SystemExit(f"{' '.join(command)} {url}\n{done.stdout}{done.stderr}")
        if any(int(number) for number in counts.groups()[2:]) or not int(counts.group(2)):
            raise SystemExit(f"requests failed: {counts.group(0)}\n{' '.join(command)} {url}")
        logged = times.read_text(encoding="ascii").splitlines() if log else ()
        microseconds = tuple(int(line.split("\t")[2]) for line in logged)
    return Load(float(found.group(1)), microseconds)


def paced(url: str, body: Path, *, rate: int, seconds: float) -> Load:
    """Open loop at `rate` requests per second over four connections, each answer's time logged."""
    return run(url, connections=4, requests_per_second=rate, seconds=seconds, body=body, log=True)
