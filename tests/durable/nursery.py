"""A process whose forked children write, and die or meet failing system calls while they do.

Reads cases as JSON lines from stdin, runs each in a child, and answers with one JSON line: what the
child had said was durable, and how it ended. The child says it through a pipe, so what was
acknowledged outlives it in this process.
"""

import asyncio
import contextlib
import ctypes
import importlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

for area in ("observe", "routing"):
    sys.path.append(str(Path(__file__).parents[1] / area))  # test folders are not packages


def write_audit(case, tell):
    """Appends events, `together` at a time; tells the head behind those that are durable."""
    from fastserve.observe.audit import AuditEvent, AuditLog
    from fastserve.observe.audit_retention import Retention

    async def run():
        log = AuditLog.open(
            Path(case["folder"]),
            segment_bytes=case["segment_bytes"],
            retention=Retention(bytes=case["keep_bytes"]),
            checkpoint_records=8,
        )
        tell({"opened": log.records})
        for n in range(case["appends"]):
            lost = log.lost_records
            event = AuditEvent(action="model.load", actor="a", origin="operator", version=n)
            await asyncio.gather(*(log.append(event) for _ in range(case["together"])))
            if log.lost_records == lost:
                tell({"seq": log.head.seq, "hash": log.head.hash})
        tell({"lost": log.lost_records, "write_errors": log.write_errors})
        log.close()

    asyncio.run(run())


def write_states(case, tell):
    """Writes 1, 2, 3, ...; tells each that is durable."""
    from fastserve.durable.state_file import read_state, write_state

    path = Path(case["folder"]) / "state"
    first = read_state(path, int).value or 0
    for value in range(first + 1, first + 1 + case["appends"]):
        with contextlib.suppress(OSError):
            write_state(path, value)
            tell(value)


def write_routes(case, tell):
    """Changes a model's route again and again; tells each generation that is acknowledged."""
    from fastserve.errors import NotKept
    from fastserve.route_spec import Entry
    from fastserve.routing.route import Route
    from fastserve.routing.route_store import RouteStore
    from fastserve.routing.router import Author, Router

    class Models:
        version_states = staticmethod(lambda _model: {1: "ready", 2: "ready"})
        serving = staticmethod(lambda _model: 2)
        follow_route = staticmethod(lambda _model: None)

    async def run():
        router = Router(RouteStore(Path(case["folder"]), lambda text: tell({"problem": text})))
        router.bind(Models())
        author = Author("a")
        for n in range(case["appends"]):
            standing = router.generation("m")
            with contextlib.suppress(NotKept):
                if n % 3 == 2:
                    await router.remove("m", standing, actor=author)
                else:
                    entries = (Entry(1, float(standing + 1)), Entry(2, 1.0))
                    route = Route(model="m", entries=entries, sticky="header:x-user")
                    await router.set("m", route, standing, actor=author)
                route = router.route("m")
                weight = 0 if route is None else route.entries[0].weight
                tell({"generation": router.generation("m"), "weight": weight})

    asyncio.run(run())


def write_capture(case, tell):
    """Captures requests, `together` in each file; tells what was counted after each file."""
    from captured import open_capture, request

    queue, capture = open_capture(Path(case["folder"]))
    tell({"opened": capture.stats().lost_files})
    for n in range(case["appends"]):
        for m in range(case["together"]):
            number = n * case["together"] + m
            queue.put(request(number, id=f"{case['first']}-{os.getpid()}-{number}"))
            capture.labels.put("digits", f"id-{number}", number, 1.0)
        capture.flush()
        stats = capture.stats()
        tell({"captured": stats.captured, "failed": stats.failed})
    capture.close()
    stats = capture.stats()
    tell({name: getattr(stats, name) for name in (
        "offered", "captured", "dropped", "failed", "pending", "rows", "labels_offered",
        "labels_stored", "labels_failed",
    )})  # fmt: skip


def write_rollouts(case, tell):
    """Starts, pauses, resumes and ends rollouts; tells how many moves are durable."""
    from arms import DurableRoutes, World, rollout

    from fastserve.errors import FastserveError

    async def run():
        world = World(Path(case["folder"]), DurableRoutes(Path(case["folder"])))
        await world.controller.tick()
        ends = (world.controller.promote, world.controller.roll_back)
        for n in range(case["appends"]):
            for order in (
                world.start,
                world.controller.pause,
                world.controller.resume,
                ends[n % 2],
            ):
                words = (rollout(0.1, 0.5),) if order == world.start else ("m",)
                with contextlib.suppress(FastserveError):
                    await order(*words, **({} if order == world.start else {"actor": "a"}))
                    tell({"moves": len(world.record.history), "state": world.state})
        tell({"problems": len(world.problems)})

    asyncio.run(run())


SCENARIOS = {
    "audit": write_audit,
    "states": write_states,
    "routes": write_routes,
    "rollouts": write_rollouts,
    "capture": write_capture,
}


def run_case(case, faults):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            if case["action"]:
                folder = case["folder"].encode()
                faults.fault_arm(folder, case["first"], case["last"], case["action"])
            SCENARIOS[case["scenario"]](
                case, lambda word: os.write(writing, json.dumps(word).encode() + b"\n")
            )
            os.write(writing, json.dumps({"calls": faults.fault_calls()}).encode() + b"\n")
            code = 0
        except OSError as error:
            os.write(writing, json.dumps({"error": str(error)}).encode() + b"\n")
        finally:
            os._exit(code)
    os.close(writing)
    said = listen(reading, case, child)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return {"status": status, "said": [json.loads(line) for line in said.splitlines()]}


def listen(reading, case, child):
    """All that the child says until it ends, or until it is killed.

    That is `kill_seconds` after its word number `kill_after_words`; 0 stands for its start, and
    then it may not come to its first word.
    """
    said = b""
    seconds = case["kill_seconds"]
    deadline = None
    while True:
        has_come_far = said.count(b"\n") >= case["kill_after_words"]
        if seconds is not None and has_come_far:
            deadline, seconds = time.monotonic() + seconds, None
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([reading], [], [], left)[0]:
            os.kill(child, signal.SIGKILL)
            deadline = None
            continue
        data = os.read(reading, 1 << 16)
        if not data:
            # The last word may be cut off by the kill: it was not heard.
            return said[: said.rfind(b"\n") + 1]
        said += data


class Nursery:
    """The process from outside: `run(scenario, folder, ...)`."""

    def __init__(self, build_folder, *modules):
        library = build_folder / "faults.so"
        source = Path(__file__).with_name("faults.c")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"],
            check=True,
        )
        self._process = subprocess.Popen(
            [sys.executable, __file__, library, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"LD_PRELOAD": str(library)},
        )

    def run(self, scenario, folder, *, action=0, first=1, last=1, appends=6, together=1,
            segment_bytes=2_000, keep_bytes=0, kill_seconds=None, kill_after_words=0):  # fmt: skip
        case = {
            "scenario": scenario, "folder": str(folder), "action": action, "first": first,
            "last": last, "appends": appends, "together": together,
            "segment_bytes": segment_bytes, "keep_bytes": keep_bytes, "kill_seconds": kill_seconds,
            "kill_after_words": kill_after_words,
        }  # fmt: skip
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def main():
    # Here, so that each child has them already.
    for module in sys.argv[2:]:
        importlib.import_module(module)
    from fastserve.observe.logs import configure_logs

    configure_logs(io.StringIO())
    faults = ctypes.CDLL(sys.argv[1])
    faults.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int]
    faults.fault_calls.restype = ctypes.c_long
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run_case(json.loads(line), faults)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
