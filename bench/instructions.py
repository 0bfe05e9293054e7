"""Instructions per request on the io thread, by layer: a table that may only fall.

    python bench/instructions.py [--update | --quick | --record SHARE | --watch | --route |
        --executor]

Runs csrc/bench/serve_bench.cc under callgrind, warms it up, and counts what the io thread executes
for a known number of requests. One connection with one call in flight makes a sweep of exactly one
request, so the count is repeatable; it must not be more than 3 % above the stored table. 4 x 64 is
printed beside it: there a sweep holds what happened to arrive, so it is a report. With
--quick it is left out, for CI. Both tell how often memory was asked for, on all threads; at 1 x 1
that must stay within 0.1 of the stored count. With --record, so many calls leave a record for a
span and a line of the access log, with --watch every row is told to the observer, with --route a
sticky route chooses, with --executor batches run on an executor's thread, and nothing is compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import h2load
import payload
from repository import bench_models

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "bench" / "instructions.json"
TOLERANCE = 1.03
ALLOCATIONS_TOLERANCE = 0.1
WARM_UP, REQUESTS = 300, 2_000
DEPTHS = {"1 x 1": (1, 1), "4 x 64": (4, 64)}
LAYER = re.compile(r"fastserve/([a-z0-9]+)/[a-z_0-9]+\.(?:h|cc)$")
# What asks the system's allocator for memory.
ALLOCATORS = re.compile(
    r"(malloc|calloc|realloc|posix_memalign|aligned_alloc|operator new(\[\])?\(.*)$"
)
LIBRARY = re.compile(r"/lib([a-z0-9+]+)[-.]")


def place_of(source: str, binary: str) -> str:
    """Returns the layer of a source file of ours, else the library that the code lies in."""
    layer = LAYER.search(source)
    if layer:
        return layer.group(1)
    library = LIBRARY.search(binary)
    return f"lib{library.group(1)}" if library else "standard headers and Asio"


def self_costs(profile: Path) -> Counter[str]:
    """Returns the instructions executed in each place, from one thread's callgrind file."""
    costs: Counter[str] = Counter()
    names: dict[str, str] = {}
    source = binary = ""
    is_call = False
    for line in profile.read_text(encoding="utf-8", errors="replace").splitlines():
        named = re.match(r"(ob|fl|fi|fe|fn)=\((\d+)\)(?: (.*))?", line)
        if named:
            kind, number, name = named.groups()
            # Objects, files and functions are numbered apart, and named at their first use.
            key = ("file" if kind in {"fl", "fi", "fe"} else kind) + number
            if name:
                names[key] = name
            if kind == "ob":
                binary = names[key]
            elif kind != "fn":
                source = names[key]
        elif line.startswith("calls="):
            is_call = True  # the next line is what the callee cost: counted where it was spent
        elif re.match(r"[+*\-\d]", line):
            if not is_call:
                costs[place_of(source, binary)] += int(line.split()[1])
            is_call = False
        else:
            # The callee's names, which are not the caller's: cob=, cfi=, cfl=, cfn=.
            other = re.match(r"c(ob|fi|fl|fn)=\((\d+)\) (.*)", line)
            if other:
                kind, number, name = other.groups()
                names[("file" if kind in {"fl", "fi"} else kind) + number] = name
    return costs


def allocations(profile: Path) -> Counter[str]:
    """Returns how often each function asked for memory, from one thread's callgrind file.

    Those of ONNX Runtime, and of C++'s own allocator, which asks for its callers, are left out.
    """
    found: Counter[str] = Counter()
    names: dict[str, str] = {}
    current = {"ob": "", "fn": "", "cfn": ""}
    for line in profile.read_text(encoding="utf-8", errors="replace").splitlines():
        named = re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?", line)
        if named:
            called, kind, number, name = named.groups()
            if name:
                names[kind + number] = name
            current[called + kind] = names[kind + number]
        elif line.startswith("calls=") and ALLOCATORS.match(current["cfn"]):
            is_foreign = "onnxruntime" in current["ob"] or ALLOCATORS.match(current["fn"])
            if not is_foreign:
                found[current["fn"]] += int(line[6:].split()[0])
    return found


class ProfiledServer:
    """serve_bench under callgrind."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        record: float = 0.0,
        *,
        is_watched: bool = False,
        is_routed: bool = False,
        is_inline: bool = True,
    ) -> None:
        spec = importlib.util.find_spec("onnxruntime")
        if spec is None or spec.origin is None:
            raise SystemExit("onnxruntime is not installed: make build")
        library = next((Path(spec.origin).parent / "capi").glob("libonnxruntime.so.*"))
        model = bench_models() / "mlp" / "1" / "model.onnx"
        self._out = folder / "profile"
        self._body = payload.write(folder / "mlp.body", "mlp", (1, 30))
        options = [
            "--tool=callgrind",
            "--separate-threads=yes",
            f"--callgrind-out-file={self._out}",
        ]
        # An inline budget without end, since under valgrind the model looks too slow for the io
        # thread; no polling, which would count as work.
        inline_us = "1000000000" if is_inline else "0"
        serve = [str(program), str(library), str(model), "256", "1", inline_us, "0"]
        serve += [str(record), str(int(is_watched)), str(int(is_routed))]
        self._headers = ("x-user: anna",) if is_routed else ()
        with (folder / "valgrind.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["valgrind", *options, *serve],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        if self._process.stdout is None:
            raise SystemExit("no pipe to the server")
        port = int(self._process.stdout.readline())
        self._url = f"http://127.0.0.1:{port}/inference.GRPCInferenceService/ModelInfer"

    def close(self) -> None:
        """Ends it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _load(self, requests: int, depth: tuple[int, int]) -> None:
        connections, in_flight = depth
        h2load.run(
            self._url,
            connections=connections,
            in_flight=in_flight,
            requests=requests,
            body=self._body,
            headers=self._headers,
        )

    def _control(self, action: str) -> None:
        command = ["callgrind_control", action, str(self._process.pid)]
        subprocess.run(command, check=True, capture_output=True)

    def per_request(self, depth: tuple[int, int]) -> tuple[dict[str, int], dict[str, float]]:
        """Returns the io thread's instructions by place, and all threads' allocations by function.

        Of one request; the largest first.
        """
        self._load(WARM_UP, depth)
        for old in self._out.parent.glob(self._out.name + ".*"):
            old.unlink()
        self._control("--zero")
        self._load(REQUESTS, depth)
        self._control("--dump")
        profiles = list(self._out.parent.glob(self._out.name + ".*"))
        costs = max(map(self_costs, profiles), key=lambda thread: thread["http2"])
        asked = sum(map(allocations, profiles), Counter())
        instructions = {place: round(cost / REQUESTS) for place, cost in costs.most_common()}
        return (
            {place: cost for place, cost in instructions.items() if cost > 0},
            {function: count / REQUESTS for function, count in asked.most_common()},
        )


def main() -> None:
    """Prints the table and compares it with the stored one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="store what was measured")
    parser.add_argument("--quick", action="store_true", help="1 x 1 alone")
    parser.add_argument("--program", type=Path, default=ROOT / "build" / "release" / "serve_bench")
    parser.add_argument("--record", type=float, default=0.0, help="share of calls to record")
    parser.add_argument("--watch", action="store_true", help="sketch every row")
    parser.add_argument("--route", action="store_true", help="a sticky route chooses")
    parser.add_argument("--executor", action="store_true", help="run nothing on the io thread")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ProfiledServer(
            arguments.program,
            Path(folder),
            arguments.record,
            is_watched=arguments.watch,
            is_routed=arguments.route,
            is_inline=not arguments.executor,
        )
        try:
            depths = {"1 x 1": DEPTHS["1 x 1"]} if arguments.quick else DEPTHS
            found = {name: server.per_request(depth) for name, depth in depths.items()}
        finally:
            server.close()
    table: dict[str, dict[str, float]] = {}
    for name, (costs, asked) in found.items():
        ours = sum(cost for place, cost in costs.items() if place != "libonnxruntime")
        print(f"{name}: {ours:,} instructions a request without ONNX Runtime")
        for place, cost in costs.items():
            print(f"  {place:28} {cost:>8,}")
        print(f"{name}: memory asked for {sum(asked.values()):.3f} times a request")
        for function, count in asked.items():
            print(f"  {count:8.3f} {function}")
        table[name] = {"total": ours, "allocations": sum(asked.values()), **costs}
    if arguments.record > 0 or arguments.watch or arguments.route or arguments.executor:
        return
    stored_table = json.loads(STORED.read_text(encoding="utf-8"))
    if arguments.update:
        # Over what is there: bench/micro.py stores its lines in the same file.
        STORED.write_text(json.dumps(stored_table | table, indent=1) + "\n", encoding="utf-8")
        return
    stored = stored_table["1 x 1"]["total"]
    now = table["1 x 1"]["total"]
    allocated, before = table["1 x 1"]["allocations"], stored_table["1 x 1"]["allocations"]
    if allocated > before + ALLOCATIONS_TOLERANCE:
        sys.exit(f"1 x 1 asks for memory {allocated:.3f} times a request, {before:.3f} stored")
    if now > stored * TOLERANCE:
        sys.exit(f"1 x 1 grew from {stored:,} to {now:,}: mend it, or store it and say why")
    print(f"1 x 1: stored {stored:,}, now {now:,}; asks {allocated:.3f}, {before:.3f} stored")


if __name__ == "__main__":
    main()
