"""What a request costs as something grows: processor time on the server, and the rate on one core.

    python bench/scaling.py [--only CURVE ...] [--repeats N] [--seconds S] [--json FILE]

Processor time is that of the whole server process, so it counts sketches and whatever else runs
beside the answers; it swings less than rates do. The server is pinned to one core, the client to
the other; for threads the server has both, and the client shares them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h2load
import numpy as np
import payload
from children import CLIENT_CORE, SERVER_CORE, Fastserve
from figure import Setting
from onnx import TensorProto, helper
from repository import bench_models
from rich.console import Console
from rich.table import Table

from fastserve.client import ReleaseClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECTIONS = (1, 4, 16, 64, 256, 1024, 4096)
IN_FLIGHT = (1, 4, 16, 64, 256)
MODELS = (1, 10, 100, 1000)
VERSIONS = (1, 2, 10, 50)
FEATURES = (1, 10, 100, 1000, 10_000)
THREADS = (1, 2)


@dataclass(frozen=True)
class Point:
    """Medians over the repeats."""

    x: int
    microseconds: float  # of processor time, a request
    requests_per_second: float
    resident_mb: float


def processor_seconds(server: Fastserve) -> float:
    """Returns what all threads of the process have used so far."""
    text = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii")
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def measure(
    setting: Setting, server: Fastserve, x: int, body: Path, *, connections: int, in_flight: int = 1
) -> Point:
    """Sends the load `repeats` times."""
    found = []
    for _ in range(setting.repeats):
        requests = server.sum_of("fastserve_requests_total")
        before = processor_seconds(server)
        load = h2load.run(
            server.url(),
            connections=connections,
            in_flight=in_flight,
            seconds=setting.seconds,
            body=body,
        )
        used = processor_seconds(server) - before
        answered = server.sum_of("fastserve_requests_total") - requests
        found.append(
            (used / answered * 1e6, load.requests_per_second, server.resident_bytes() / 1e6)
        )
    return Point(x, *(statistics.median(values) for values in zip(*found, strict=True)))


def connections(setting: Setting) -> Iterator[Point]:
    """One call in flight on each."""
    body = setting.body("mlp")
    for count in CONNECTIONS:
        with Fastserve(setting.only("mlp"), setting.log("connections")) as server:
            yield measure(setting, server, count, body, connections=count)


def in_flight(setting: Setting) -> Iterator[Point]:
    """Calls in flight on each of four connections."""
    body = setting.body("mlp")
    with Fastserve(setting.only("mlp"), setting.log("in_flight")) as server:
        for count in IN_FLIGHT:
            yield measure(setting, server, count, body, connections=4, in_flight=count)


def models(setting: Setting) -> Iterator[Point]:
    """Models loaded, of which one is asked."""
    body = setting.body("mlp")
    for count in MODELS:
        with Fastserve(setting.many("mlp", count), setting.log("models")) as server:
            yield measure(setting, server, count, body, connections=4, in_flight=64)


def versions(setting: Setting) -> Iterator[Point]:
    """Versions that share the requests of one model by weight."""
    body = setting.body("mlp")
    for count in VERSIONS:
        repository = setting.versions(f"versions-{count}", "mlp", count)
        entries = [{"version": number, "weight": 1} for number in range(1, count + 1)]
        with Fastserve(repository, setting.log("versions")) as server:
            with ReleaseClient(server.grpc) as release:
                release.set_route("mlp", {"entries": entries})
            yield measure(setting, server, count, body, connections=4, in_flight=64)


def features(setting: Setting) -> Iterator[Point]:
    """Numbers in a row: each is read, summed up by the model, and sketched."""
    for count in FEATURES:
        repository = setting.folder / f"features-{count}"
        folder = repository / "sum" / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(total(count))
        body = payload.write(setting.folder / f"sum-{count}.body", "sum", (1, count))
        with Fastserve(repository, setting.log("features")) as server:
            yield measure(setting, server, count, body, connections=4, in_flight=16)


def threads(setting: Setting) -> Iterator[Point]:
    """Threads for connections, on two cores that the client shares."""
    body = setting.body("mlp")
    for count in THREADS:
        options = ("--io-threads", str(count))
        cores = f"{SERVER_CORE},{CLIENT_CORE}"
        with Fastserve(
            setting.only("mlp"), setting.log("threads"), cores=cores, options=options
        ) as server:
            yield measure(setting, server, count, body, connections=8, in_flight=32)


def total(count: int) -> bytes:
    """Returns a model that adds a row's numbers up."""
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["input", "axis"], ["sum"])],
        "total",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", count])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], np.array([1]))],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opset)
    serialised: bytes = model.SerializeToString()
    return serialised


CURVES: dict[str, Callable[[Setting], Iterator[Point]]] = {
    "connections": connections,
    "in flight": in_flight,
    "models": models,
    "versions": versions,
    "features": features,
    "threads": threads,
}


def show(curves: dict[str, list[Point]]) -> None:
    """Prints a table of all curves."""
    table = Table(title="fastserve: what a request costs as something grows")
    for heading in ("curve", "of", "us of processor", "requests/s", "resident MB"):
        table.add_column(heading, justify="left" if heading == "curve" else "right")
    for name, points in curves.items():
        for point in points:
            rate = f"{point.requests_per_second:,.0f}"
            cost, memory = f"{point.microseconds:.1f}", f"{point.resident_mb:.0f}"
            table.add_row(name, f"{point.x:,}", cost, rate, memory)
        table.add_section()
    Console(width=100).print(table)


def main() -> None:
    """Measures the curves that are asked for and prints them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(CURVES), default=list(CURVES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    repository = bench_models()
    curves: dict[str, list[Point]] = {}
    with tempfile.TemporaryDirectory(prefix="fastserve-scaling-") as folder:
        setting = Setting(repository, Path(folder), arguments.repeats, arguments.seconds)
        for name in arguments.only:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            curves[name] = list(CURVES[name](setting))
    show(curves)
    if arguments.json:
        found = {name: [asdict(point) for point in points] for name, points in curves.items()}
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
