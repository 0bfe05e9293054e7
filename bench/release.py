"""How soon a changed route holds: each change is followed by one request, and must be seen by it.

    python bench/release.py [--changes N]

`call` is the whole RPC, written to disk and recorded. `effect` is the time from its return to an
answer of the new route: one request's round trip, since the route holds when the RPC returns. An
answer of the route before ends the run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import grpc
from children import CLIENT_CORE, SERVER_CORE, Fastserve
from lifecycle import lookup, put
from rich.console import Console
from rich.table import Table

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.client import ReleaseClient

INFER = "/inference.GRPCInferenceService/ModelInfer"
VERSIONS = (1, 2)


def request() -> bytes:
    """Returns one row for the model of bench/lifecycle.py."""
    message = pb.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype="INT64", shape=[1, 1])
    message.raw_input_contents.append(bytes(8))
    return message.SerializeToString()


def measure(folder: Path, changes: int) -> dict[str, list[float]]:
    """Milliseconds of each change's call, of the request after it, and of a request before it."""
    repository = folder / "repository"
    for version in VERSIONS:
        put(repository, "m", version, lookup(version))
    (repository / "m" / "model.toml").write_text("[versions]\nall = true\n")
    found: dict[str, list[float]] = {"call": [], "effect": [], "round trip": []}
    with (
        Fastserve(repository, folder / "log", cores=f"{SERVER_CORE},{CLIENT_CORE}") as server,
        ReleaseClient(server.grpc, timeout=30) as client,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(INFER)
        asked = request()
        infer(asked, timeout=30)
        for turn in range(changes):
            version = VERSIONS[turn % 2]
            before = time.perf_counter()
            infer(asked, timeout=30)
            begun = time.perf_counter()
            client.set_route("m", {"entries": [{"version": version, "weight": 1}]})
            returned = time.perf_counter()
            answer = infer(asked, timeout=30)
            answered = time.perf_counter()
            number = pb.ModelInferResponse.FromString(answer).model_version
            if number != str(version):
                raise SystemExit(f"change {turn}: answered by {number}, the route says {version}")
            found["round trip"].append((begun - before) * 1000)
            found["call"].append((returned - begun) * 1000)
            found["effect"].append((answered - returned) * 1000)
    return found


def main(arguments: list[str]) -> int:
    """Run the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=500)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.changes)
    table = Table("milliseconds", "median", "p99", title=f"{options.changes} changes of a route")
    for name, values in found.items():
        ordered = sorted(values)
        p99 = ordered[int(0.99 * len(ordered))]
        table.add_row(name, f"{statistics.median(ordered):.3f}", f"{p99:.3f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
