"""The lifecycle's figures: swaps under load, going back, memory, many models, large and bad files.

    python bench/lifecycle.py [--only NAME ...] [--scale 0.1] [--json FILE]

`--scale` 1 is what `make soak` runs: 1,000 swaps under a million checked requests, 1,000 loads and
unloads, 1,000 models, 10,000 damaged files. Every answer is checked; one that is wrong, or an
error, ends the run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import h2load
import numpy as np
import psutil
from children import CLIENT_CORE, SERVER_CORE, Fastserve
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.client import ControlClient
from fastserve.errors import FastserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOTH_CORES = f"{SERVER_CORE},{CLIENT_CORE}"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
IN_FLIGHT = 64
PACED_RATE = 1_000


def lookup(version: float, weight_bytes: int = 4_000) -> bytes:
    """y[rows, 1] = table[x[rows, 1]] * 0 + version: any weight, hardly any work."""
    table = np.random.default_rng(0).random(weight_bytes // 4, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "x"], ["looked_up"]),
            helper.make_node("Mul", ["looked_up", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "version"], ["y"]),
        ],
        "lookup",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["N", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
            numpy_helper.from_array(np.full(1, version, np.float32), "version"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def put(repository: Path, model: str, version: int, data: bytes) -> None:
    """Writes a version as a plain folder."""
    folder = repository / model / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)


def message(model: str = "m", rows: int = 2) -> bytes:
    """Returns a ModelInferRequest of so many rows."""
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype="INT64").shape.extend((rows, 1))
    request.raw_input_contents.append(np.zeros((rows, 1), np.int64).tobytes())
    return request.SerializeToString()


def body(folder: Path, model: str = "m") -> Path:
    """Writes the request for h2load and returns the path."""
    data = message(model)
    path = folder / f"{model}.body"
    path.write_bytes(struct.pack(">BI", 0, len(data)) + data)
    return path


def load(client: ControlClient, model: str, version: int) -> None:
    """Returns when the version serves."""
    for _ in client.load_model(model, version=version):
        pass


def _ask(target: str, floor: Any, answered: Any, is_over: Any, problems: Any) -> None:
    """Asks on one stream until it is over. Its own process: its own interpreter."""
    request = message()
    started: list[int] = []

    def requests() -> Iterator[bytes]:
        while not is_over.value:
            while len(started) >= IN_FLIGHT and not is_over.value:
                time.sleep(0.0002)
            started.append(floor.value)
            yield request

    with grpc.insecure_channel(target) as channel:
        try:
            call: Any = channel.stream_stream(STREAM)
            for answer in call(requests()):
                # raw_output_contents is the message's last field.
                first, second = struct.unpack("<2f", answer[-8:])
                if first != second or first < started.pop(0):
                    problems.put(f"rows {first} and {second}")
                    return
                answered.value += 1
        except (grpc.RpcError, struct.error) as error:
            problems.put(repr(error))


def swaps(folder: Path, scale: float) -> dict[str, float]:
    """1,000 swaps of a model whose answer is its version, under a million checked requests."""
    count, wanted = max(20, int(1_000 * scale)), int(1_000_000 * scale)
    repository = folder / "swaps"
    put(repository, "m", 1, lookup(1))
    with Fastserve(repository, folder / "swaps.log", cores=BOTH_CORES) as server:
        floor = multiprocessing.Value("i", 1)
        is_over = multiprocessing.Value("b", 0)
        problems: Any = multiprocessing.Queue()
        counters = [multiprocessing.Value("q", 0) for _ in range(2)]
        askers = [
            multiprocessing.Process(
                target=_ask, args=(server.grpc, floor, counter, is_over, problems)
            )
            for counter in counters
        ]
        for asker in askers:
            asker.start()
        begun = time.monotonic()
        with ControlClient(server.grpc, timeout=60) as client:
            version = 1
            while version <= count or sum(c.value for c in counters) < wanted:
                version += 1
                put(repository, "m", version, lookup(version))
                load(client, "m", version)
                floor.value = version
                if not problems.empty():
                    break
        seconds = time.monotonic() - begun
        is_over.value = 1
        for asker in askers:
            asker.join(30)
        if not problems.empty():
            raise SystemExit(f"swaps: {problems.get()} at version {version}")
    answered = sum(counter.value for counter in counters)
    return {"swaps": version - 1, "requests": answered, "errors": 0, "seconds": seconds}


def _p99(server: Fastserve, payload: Path, seconds: float) -> float:
    run = h2load.paced(server.url(), payload, rate=PACED_RATE, seconds=seconds)
    return run.percentile(0.99)


def p99_while_swapping(folder: Path, scale: float) -> dict[str, float]:
    """p99 at 1,000 requests/s while a 100 MB model is replaced all the time, against without."""
    repository = folder / "heavy"
    for version in (1, 2):
        put(repository, "m", version, lookup(version, 100_000_000))
    (repository / "m" / "model.toml").write_text("[versions]\nkeep_previous = 0\n")
    found: dict[str, float] = {}
    for name, cores in (("one_core", SERVER_CORE), ("two_cores", BOTH_CORES)):
        ratios: list[float] = []
        swaps_done = 0
        log = folder / f"heavy-{name}.log"
        with Fastserve(repository, log, cores=cores) as server:
            payload = body(folder)
            for _ in range(max(3, int(7 * scale))):
                quiet = _p99(server, payload, 5)
                is_over = multiprocessing.Value("b", 0)
                swapped = multiprocessing.Value("i", 0)
                swapper = multiprocessing.Process(
                    target=_replace_all_the_time, args=(server.grpc, is_over, swapped)
                )
                swapper.start()
                busy = _p99(server, payload, 5)
                is_over.value = 1
                swapper.join(120)
                swaps_done += swapped.value
                ratios.append(busy / quiet)
        found[f"{name}_ratio"] = statistics.median(ratios)
        found[f"{name}_worst_ratio"] = max(ratios)
        found[f"{name}_swaps"] = swaps_done
    return found


def _replace_all_the_time(target: str, is_over: Any, swapped: Any) -> None:
    with ControlClient(target, timeout=120) as client:
        version = 1
        while not is_over.value:
            load(client, "m", version)
            swapped.value += 1
            version = 3 - version


def going_back(folder: Path, scale: float) -> dict[str, float]:
    """Going back to the version before: arrival to effect in the server, and the whole call."""
    repository = folder / "back"
    for version in (1, 2):
        put(repository, "m", version, lookup(version))
    log = folder / "back.log"
    program = (str(Path(__file__).with_name("timed_server.py")),)
    with Fastserve(repository, log, cores=BOTH_CORES, program=program) as server:
        calls: list[float] = []
        with ControlClient(server.grpc, timeout=30) as client:
            load(client, "m", 1)
            for turn in range(max(100, int(1_000 * scale))):
                begun = time.perf_counter()
                load(client, "m", 1 + turn % 2)
                calls.append((time.perf_counter() - begun) * 1000)
    effects = [
        float(line.split()[1]) / 1000
        for line in log.read_text(encoding="utf-8").splitlines()
        if line.startswith("effect ")
    ]
    # The first one loaded the version.
    return {**_spread("effect", effects[-len(calls) :]), **_spread("call", calls)}


def _spread(name: str, milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        f"{name}_median_ms": statistics.median(ordered),
        f"{name}_p99_ms": ordered[int(0.99 * len(ordered))],
    }


def memory(folder: Path, scale: float) -> dict[str, float]:
    """Resident memory, descriptors and threads after 1,000 loads and unloads, against after 10."""
    count = max(30, int(1_000 * scale))
    repository = folder / "memory"
    put(repository, "m", 1, lookup(1, 20_000_000))
    put(repository, "stays", 1, lookup(1))
    log = folder / "memory.log"
    options = ("--explicit", "--load-model", "stays")
    with Fastserve(repository, log, cores=BOTH_CORES, options=options) as server:
        process = psutil.Process(server.process.pid)
        early = (0, 0, 0)
        with ControlClient(server.grpc, timeout=60) as client:
            for turn in range(1, count + 1):
                load(client, "m", 1)
                client.unload_model("m")
                if turn == 10:
                    early = _held(process)
        late = _held(process)
    return {
        "cycles": count,
        "resident_mb_after_10": early[0] / 1e6,
        "resident_mb": late[0] / 1e6,
        "ratio": late[0] / early[0],
        "descriptors_more": late[1] - early[1],
        "threads_more": late[2] - early[2],
    }


def _held(process: psutil.Process) -> tuple[int, int, int]:
    return process.memory_info().rss, process.num_fds(), process.num_threads()


def many(folder: Path, scale: float) -> dict[str, float]:
    """1,000 models: start, memory, and requests/s on one of them against a server with only it."""
    count = max(50, int(1_000 * scale))
    data = lookup(1)
    alone, crowd = folder / "alone", folder / "crowd"
    put(alone, "m0", 1, data)
    for number in range(count):
        put(crowd, f"m{number}", 1, data)
    time.sleep(1.5)  # both have settled before a server starts
    ratios: list[float] = []
    with (
        Fastserve(alone, folder / "alone.log") as one,
        Fastserve(crowd, folder / "crowd.log") as all_of_them,
    ):
        payload = body(folder, "m0")
        started = all_of_them.seconds_to_ready
        resident = all_of_them.resident_bytes() - one.resident_bytes()
        for _ in range(5):
            rates = [
                h2load.run(
                    server.url(), connections=4, in_flight=64, seconds=2, body=payload
                ).requests_per_second
                for server in (all_of_them, one)
            ]
            ratios.append(rates[0] / rates[1])
    return {
        "models": count,
        "start_seconds": started,
        "start_ms_a_model": (started - one.seconds_to_ready) * 1000 / count,
        "memory_kb_a_model": resident / 1000 / count,
        "throughput_ratio": statistics.median(ratios),
        "throughput_least_ratio": min(ratios),
    }


def _longest_waits(target: str, pid: int, is_over: Any, found: Any) -> None:
    """The longest health check and inference of a caller who asks all the time.

    And the longest health check without what its server's event loop waited for a core: on a
    machine where others work too, the rest of it is not ours.
    """
    longest = {"health_check": 0.0, "health_check_with_a_core": 0.0, "inference": 0.0}

    def note(name: str, seconds: float) -> None:
        longest[name] = max(longest[name], seconds)

    with grpc.insecure_channel(target) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        infer: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        while not is_over.value:
            begun, waited = time.perf_counter(), _waited_for_a_core(pid)
            check(b"", timeout=30)
            seconds = time.perf_counter() - begun
            note("health_check", seconds)
            note("health_check_with_a_core", seconds - (_waited_for_a_core(pid) - waited))
            begun = time.perf_counter()
            infer(message(), timeout=30)
            note("inference", time.perf_counter() - begun)
            time.sleep(0.002)
    found.put(longest)


def _waited_for_a_core(thread: int) -> float:
    """Seconds in which the thread could have run and had no core, since it began."""
    fields = Path(f"/proc/{thread}/task/{thread}/schedstat").read_text(encoding="ascii").split()
    return int(fields[1]) / 1e9


def files_with_the_call(folder: Path, scale: float) -> dict[str, float]:
    """The longest waits of others beside loads of a 200 MB file that comes with the call."""
    repository = folder / "files"
    put(repository, "m", 1, lookup(1))
    request = pb.RepositoryModelLoadRequest(model_name="given")
    config = {"platform": "onnxruntime_onnx", "max_batch_size": 8}
    request.parameters["config"].string_param = json.dumps(config)
    request.parameters["file:1/model.onnx"].bytes_param = lookup(2, 200_000_000)
    data = request.SerializeToString()
    options = ("--explicit", "--load-model", "m", "--max-message-bytes", "1GiB")
    count = max(3, int(20 * scale))
    longest: dict[str, dict[str, float]] = {}
    with (
        Fastserve(repository, folder / "files.log", cores=BOTH_CORES, options=options) as server,
        grpc.insecure_channel(
            server.grpc, options=[("grpc.max_send_message_length", -1)]
        ) as channel,
    ):
        load_files: Any = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelLoad")
        for name in ("quiet", "loading"):
            is_over = multiprocessing.Value("b", 0)
            found: Any = multiprocessing.Queue()
            arguments = (server.grpc, server.process.pid, is_over, found)
            asker = multiprocessing.Process(target=_longest_waits, args=arguments)
            asker.start()
            begun = time.monotonic()
            if name == "loading":
                for _ in range(count):
                    load_files(data, timeout=120)
                seconds = (time.monotonic() - begun) / count
            else:
                time.sleep(5)
            is_over.value = 1
            longest[name] = found.get(timeout=60)
            asker.join(30)
    return {
        "loads": count,
        "seconds_a_load": seconds,
        **{
            f"longest_{what}_{name}_ms": seconds * 1000
            for name, waits in longest.items()
            for what, seconds in waits.items()
        },
    }


def damaged_files(folder: Path, scale: float) -> dict[str, float]:
    """10,000 damaged copies of a model through load; the version before answers all the time."""
    count = max(100, int(10_000 * scale))
    repository = folder / "damaged"
    put(repository, "m", 1, lookup(1))
    # Hardly any weights: what is damaged is the graph.
    good, source = lookup(2, 40), np.random.default_rng(1)
    refused = 0
    with (
        Fastserve(repository, folder / "damaged.log", cores=BOTH_CORES) as server,
        ControlClient(server.grpc, timeout=60) as client,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        infer: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(count):
            put(repository, "m", 2, _damaged(good, source))
            try:
                load(client, "m", 2)
            except FastserveError:
                refused += 1
            else:
                # Damaged where nobody can tell: the operator takes it back.
                load(client, "m", 1)
                client.unload_model("m", version=2)
            answer = infer(message(), timeout=30)
            if struct.unpack("<2f", answer[-8:]) != (1.0, 1.0):
                raise SystemExit("damaged: the version before does not answer")
        is_same = server.process.poll() is None
    return {"copies": count, "refused": refused, "server_lives": float(is_same)}


def _damaged(model: bytes, source: np.random.Generator) -> bytes:
    """Up to four bits flipped, or cut short."""
    if source.random() < 0.2:
        return model[: source.integers(len(model))]
    bits = np.unpackbits(np.frombuffer(model, np.uint8))
    bits[source.integers(len(bits), size=source.integers(1, 5))] ^= 1
    return np.packbits(bits).tobytes()


FIGURES: dict[str, Callable[[Path, float], dict[str, float]]] = {
    "swaps": swaps,
    "p99": p99_while_swapping,
    "back": going_back,
    "memory": memory,
    "many": many,
    "files": files_with_the_call,
    "damaged": damaged_files,
}


def main(arguments: list[str]) -> int:
    """Run the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    found: dict[str, dict[str, float]] = {}
    console = Console()
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = FIGURES[name](Path(folder), options.scale)
        table = Table("figure", "value", title=FIGURES[name].__doc__, title_justify="left")
        for what, value in found[name].items():
            table.add_row(what.replace("_", " "), f"{value:,.3f}".rstrip("0").rstrip("."))
        console.print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
