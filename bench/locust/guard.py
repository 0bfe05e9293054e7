"""Load from Locust's users against a real server, held against budgets: `make locust`.

    python bench/locust/guard.py [--shape NAME ...] [--repeats N] [--seconds S] [--html FOLDER]
        [--slow FACTOR]

Shapes and what they may take are in budgets.toml. What an answer may take is a multiple of what
ONNX Runtime alone takes for the same request on the server's core: the lower of the medians before
and after each run. Ends with 1 when a budget is broken. --slow serves a model of so many times the
depth under the same budgets: they must be broken then.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import workload  # noqa: E402
from children import CLIENT_CORE, SERVER_CORE, Fastserve  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from fastserve.client import ControlClient, ReleaseClient  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

PERCENTILES = {"p50": "50%", "p95": "95%", "p99": "99%"}
# Rows are judged when a window is over: one that the load fills has to lie within the run.
WINDOW_SECONDS = 3
WINDOWS = {f"FASTSERVE_DRIFT__{each}_SECONDS": str(WINDOW_SECONDS) for each in ("BASE", "WINDOW")}
PROFILE_ROWS = 2000


@dataclass(frozen=True)
class Verdict:
    """One line of the table."""

    shape: str
    what: str
    value: float
    budget: float
    is_kept: bool


def read_budgets() -> dict[str, dict[str, float]]:
    """Returns by shape its numbers in budgets.toml, over the defaults."""
    shapes = tomllib.loads((HERE / "budgets.toml").read_text(encoding="utf-8"))
    default = shapes.pop("default")
    return {shape: {**default, **numbers} for shape, numbers in shapes.items()}


def alone_ms(folder: Path) -> float:
    """Returns what ONNX Runtime alone takes for a request of the budgets' model.

    It rests between its runs as a server at these rates does: a process that never rests has to
    share the core with whatever else the machine does, and one that rests goes first.
    """
    path = folder / "alone.onnx"
    path.write_bytes(workload.model())
    partner = [sys.executable, str(HERE.parent / "partners.py"), "once"]
    command = ["taskset", "-c", SERVER_CORE, *partner, str(path), str(workload.ROWS), "2", "0.04"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout) / 1000


def swap(server: Fastserve, stop: threading.Event) -> None:
    """Loads the versions in turn."""
    with ControlClient(server.grpc, timeout=60) as control:
        turn = 0
        while not stop.wait(0.5):
            turn += 1
            for _ in control.load_model("work", version=1 + turn % 2):
                pass


def shift(server: Fastserve, stop: threading.Event) -> None:
    """Moves a canary's weight up and down."""
    with ReleaseClient(server.grpc, timeout=60) as release:
        weight = 0
        while True:
            weight = (weight + 10) % 100
            entries = [{"version": 1, "weight": 100 - weight}, {"version": 2, "weight": weight}]
            release.set_route("work", {"entries": entries, "sticky": "header:x-user"})
            if stop.wait(1):
                return


def profile(repository: Path, folder: Path) -> None:
    """Writes what the rows of the newest version, which answers, are to be like."""
    rows = workload.training_rows(folder / "rows.npz", PROFILE_ROWS)
    command = [sys.executable, "-m", "fastserve", "drift", "profile", "work", "--inputs-only"]
    command += ["--data", str(rows), "--repository", str(repository)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def alarms(server: Fastserve, wanted: float) -> float:
    """Returns how many features have an alarm; waits for `wanted` while a window may end."""
    last = time.monotonic() + 2 * WINDOW_SECONDS
    while True:
        found = server.sum_of("fastserve_drift_alarm")
        if found >= wanted or time.monotonic() > last:
            return found
        time.sleep(0.2)


OPERATORS: dict[str, Callable[[Fastserve, threading.Event], None]] = {
    "swap": swap,
    "canary": shift,
}


def drive(
    shape: str, budgets: dict[str, float], server: Fastserve, folder: Path, html: Path | None
) -> dict[str, str]:
    """Runs Locust, and whoever operates the server meanwhile; returns Locust's line of figures."""
    scale = 10.0 if shape == "drift" else 1.0
    bodies = [workload.body(folder / f"{shape}-{seed}.body", scale, seed) for seed in range(4)]
    environment = os.environ | {
        "BENCH_SHAPE": shape,
        "BENCH_BODIES": os.pathsep.join(map(str, bodies)),
        **{f"BENCH_{name.upper()}": str(budgets[name]) for name in ("users", "rate", "seconds")},
    }
    users = str(int(budgets["users"]))
    command = ["taskset", "-c", CLIENT_CORE, sys.executable, "-m", "locust", "--headless"]
    command += ["-f", str(HERE / "users.py"), "--host", server.grpc, "--only-summary"]
    command += ["--csv", str(folder / shape), "--exit-code-on-error", "0"]
    if shape != "ramp":
        command += ["-u", users, "-r", users, "-t", f"{budgets['seconds']:g}s"]
    if html is not None:
        html.mkdir(parents=True, exist_ok=True)
        command += ["--html", str(html / f"{shape}.html")]
    stop = threading.Event()
    failures: list[Exception] = []

    def operate() -> None:
        try:
            OPERATORS[shape](server, stop)
        except Exception as error:  # noqa: BLE001 - the run fails by it
            failures.append(error)

    thread = threading.Thread(target=operate) if shape in OPERATORS else None
    if thread is not None:
        thread.start()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finally:
        stop.set()
        if thread is not None:
            thread.join()
    if failures:
        raise SystemExit(f"{shape}: {failures[0]}")
    path = folder / f"{shape}_stats.csv"
    if done.returncode != 0 or not path.exists():
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    with path.open(newline="", encoding="utf-8") as lines:
        return next(line for line in csv.DictReader(lines) if line["Name"] == "Aggregated")


def judge(
    shape: str, budgets: dict[str, float], found: dict[str, str], alone: float
) -> list[Verdict]:
    """Holds Locust's figures against the budgets; latencies as multiples of `alone`."""
    count = int(found["Request Count"])
    rate = float(found["Requests/s"]) / budgets["rate"]
    errors = int(found["Failure Count"]) / count if count else 1.0
    least, most = budgets["min_rate"], budgets["max_error_rate"]
    verdicts = [
        Verdict(shape, "answered of offered", rate, least, rate >= least),
        Verdict(shape, "errors", errors, most, errors <= most),
    ]
    for name, column in PERCENTILES.items():
        times = float(found[column]) / alone if count else float("inf")
        what = f"{name} against {alone:.1f} ms alone"
        verdicts.append(Verdict(shape, what, times, budgets[name], times <= budgets[name]))
    return verdicts


def run(
    shape: str, budgets: dict[str, float], folder: Path, *, slow: int, html: Path | None
) -> list[Verdict]:
    """One server, one run."""
    repository = folder / "repository"
    for version in (1, 2):
        workload.put(repository, version, workload.model(workload.DEPTH * slow, seed=version))
    (repository / "work" / "model.toml").write_text("[versions]\nall = true\n", encoding="utf-8")
    is_watched = "min_alarms" in budgets
    windows = WINDOWS if is_watched else {}
    if is_watched:
        profile(repository, folder)
    raised: list[Verdict] = []
    before = alone_ms(folder)
    with Fastserve(repository, folder / "log", environment=windows) as server:
        found = drive(shape, budgets, server, folder, html)
        if is_watched:
            wanted = budgets["min_alarms"]
            count = alarms(server, wanted)
            raised.append(Verdict(shape, "features with an alarm", count, wanted, count >= wanted))
    return [*judge(shape, budgets, found, min(before, alone_ms(folder))), *raised]


def show(verdicts: list[Verdict]) -> None:
    """Prints the table."""
    table = Table(title="budgets")
    for heading in ("shape", "what", "measured", "budget", "kept"):
        table.add_column(heading)
    for each in verdicts:
        kept = "yes" if each.is_kept else "NO"
        table.add_row(each.shape, each.what, f"{each.value:.3g}", f"{each.budget:g}", kept)
    Console(width=100).print(table)


def main() -> None:
    """Runs the shapes that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shapes = read_budgets()
    parser.add_argument("--shape", nargs="+", choices=list(shapes), default=list(shapes))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0, help="instead of the budgets'")
    parser.add_argument("--html", type=Path, help="a folder for Locust's reports")
    parser.add_argument("--slow", type=int, default=1, help="times the model's depth")
    arguments = parser.parse_args()
    verdicts = []
    for _ in range(arguments.repeats):
        for shape in arguments.shape:
            budgets = shapes[shape]
            budgets["seconds"] = arguments.seconds or budgets["seconds"]
            print(f"driving {shape} ...", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix="fastserve-locust-") as folder:
                verdicts += run(
                    shape, budgets, Path(folder), slow=arguments.slow, html=arguments.html
                )
    show(verdicts)
    if not all(each.is_kept for each in verdicts):
        sys.exit("a budget is broken")


if __name__ == "__main__":
    main()
