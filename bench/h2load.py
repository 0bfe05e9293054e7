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
# Share of the expected bytes: requests at the edges of a timed run count without their bodies.
SHORTEST_ANSWER = 0.95
MOST_SECONDS = 300


class Failed(SystemExit):
    """The run has no figure: h2load could not run, or requests failed."""


@dataclass(frozen=True)
class Load:
    """One run: requests answered per second; if logged, each answer's time in microseconds.

    And when it came, counted from the first request.
    """

    requests_per_second: float
    microseconds: tuple[int, ...] = ()
    answered_at_us: tuple[int, ...] = ()

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
    http1: bool = False,
    answer_bytes: int = 0,
    spread: bool = False,
) -> Load:
    """Closed loop, or open loop when `requests_per_second` (all connections together) is given.

    With `http1` the body is a plain POST, one in flight per connection, else a gRPC call. With
    `answer_bytes` the answers' bodies must be that long on average: h2load sees HTTP's status, and
    a gRPC call that fails has none. With `spread` (and `requests_per_second` and `requests`) the
    connections open one after the other, so that their clocks do not tick together.

    Errors: Failed when any request failed, since a figure with failures means nothing.
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
    if spread:
        period_ms = max(1, round(1000 / requests_per_second))
        command += ["-r", str(max(1, requests_per_second * period_ms // 1000))]
        command += ["--rate-period", f"{period_ms}ms"]
    if body is not None:
        command += ["-d", str(body), *(("--h1",) if http1 else GRPC_HEADERS)]
        for header in headers:
            command += ["-H", header]
    return _measured([*command, url], answer_bytes, log=log)


def _measured(command: list[str], answer_bytes: int, *, log: bool) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "times"
        if log:
            command = [*command[:-1], "--log-file", str(times), command[-1]]
        words = " ".join(command)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=MOST_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"no end after {MOST_SECONDS} s: {words}") from None
        found = re.search(r"finished in [\d.]+[mu]?s, ([\d.]+) req/s", done.stdout)
        counts = re.search(
            r"(\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
            done.stdout,
        )
        if done.returncode != 0 or found is None or counts is None:
            raise Failed(f"{words}\n{done.stdout}{done.stderr}")
        if any(int(number) for number in counts.groups()[2:]) or not int(counts.group(2)):
            raise Failed(f"requests failed: {counts.group(0)}\n{words}")
        mean_bytes = _body_bytes(done.stdout) / int(counts.group(2))
        if mean_bytes < SHORTEST_ANSWER * answer_bytes:
            raise Failed(f"calls failed: {mean_bytes:.0f} bytes an answer, want {answer_bytes}")
        lines = times.read_text(encoding="ascii").splitlines() if log else ()
        logged = [tuple(map(int, line.split("\t"))) for line in lines]
    started = min((start for start, _, _ in logged), default=0)
    return Load(
        float(found.group(1)),
        tuple(elapsed for _, _, elapsed in logged),
        tuple(start + elapsed - started for start, _, elapsed in logged),
    )


def _body_bytes(output: str) -> int:
    found = re.search(r"\((\d+)\) data$", output, re.MULTILINE)
    return int(found.group(1)) if found else 0


def paced(url: str, body: Path, *, rate: int, seconds: float) -> Load:
    """Open loop at `rate` requests per second over four connections, each answer's time logged."""
    return run(url, connections=4, requests_per_second=rate, seconds=seconds, body=body, log=True)
