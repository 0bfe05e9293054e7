"""System calls per request, by strace: what the io thread asks of the kernel at several depths.

    python bench/system_calls.py [--requests N]

Counts do not depend on how busy the machine is, but a server under strace is slow: more requests
wait at each look, so that shallow loads are the ones to read. Those of connections that open and
close are in it, divided by the requests.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import h2load
from children import Fastserve
from figure import Setting
from repository import bench_models
from rich.console import Console
from rich.table import Table

# Connections, calls in flight on each, and requests/s: 0 is as many as are answered.
LOADS = ((1, 1, 0), (4, 1, 0), (64, 1, 0), (64, 64, 2_000), (4, 64, 0))
CALLS = ("epoll_wait", "recvfrom", "sendto", "futex")
ATTACH_SECONDS = 1.0
LINE = re.compile(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?(\w+)$")


def counted(
    server: Fastserve, folder: Path, body: Path, load: tuple[int, int, int], count: int
) -> dict[str, float]:
    """Returns system calls of each kind per request, and those of recvfrom that found nothing."""
    connections, in_flight, rate = load
    summary = folder / "strace"
    command = ["strace", "-f", "-c", "-o", str(summary), "-p", str(server.process.pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        time.sleep(ATTACH_SECONDS)
        h2load.run(
            server.url(),
            connections=connections,
            in_flight=in_flight,
            requests=count,
            requests_per_second=rate,
            body=body,
        )
        tracer.send_signal(signal.SIGINT)
    found = dict.fromkeys((*CALLS, "recvfrom in vain", "total"), 0.0)
    for line in summary.read_text(encoding="ascii").splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        calls, errors, name = match.groups()
        if name in found:
            found[name] = int(calls) / count
        if name == "recvfrom":
            found["recvfrom in vain"] = int(errors or 0) / count
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4_000)
    arguments = parser.parse_args()
    if shutil.which("strace") is None:
        raise SystemExit("strace is not installed: sudo apt-get install -y strace")
    columns = (*CALLS, "recvfrom in vain", "total")
    table = Table(title="system calls of a request")
    for heading in ("load", *columns):
        table.add_column(heading)
    with tempfile.TemporaryDirectory(prefix="fastserve-calls-") as name:
        setting = Setting(bench_models(), Path(name), 1, 0)
        body = setting.body("mlp")
        with Fastserve(setting.only("mlp"), setting.log("calls")) as server:
            for load in LOADS:
                found = counted(server, setting.folder, body, load, arguments.requests)
                depth = f"{load[0]} x {load[1]}" + (f", {load[2]:,}/s" if load[2] else "")
                table.add_row(depth, *(f"{found[column]:.2f}" for column in columns))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
