"""The table of speed and memory: `make bench`.

Each figure is a ratio inside one run: its two sides are measured in turn, A B A B ..., at least
five times, and the median of the ratios is quoted with the smallest and the largest. The server is
pinned to one core and the client to the other. Absolute numbers swing with the machine, ratios far
less.

    python bench/run.py [--only NAME ...] [--repeats N] [--seconds S] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import h2load
import payload
from children import SERVER_CORE, Fastserve, Nghttpd
from repository import bench_models
from rich.console import Console
from rich.table import Table
from scraper import SCRAPES_PER_SECOND, Scraper

from fastserve.client import ReleaseClient, ShadowClient

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
IMAGE_BYTES = 4 * 3 * 224 * 224
PACED_RATE = 2_000
PACED_SECONDS = 6.0
ROUTED_VERSIONS = 10
SCRAPED_MODELS = 100
MANY_CONNECTIONS = 5_000


@dataclass
class Figure:
    """One row of the table."""

    name: str
    what: str
    values: list[float]
    goal: float | None = None
    at_least: bool = True  # the goal is a lower bound
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Returns the middle value."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Tells whether the goal is reached; None when there is none."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal


@dataclass(frozen=True)
class Setting:
    """What every figure needs."""

    repository: Path
    folder: Path
    repeats: int
    seconds: float

    def log(self, name: str) -> Path:
        """Returns where a child's output goes."""
        return self.folder / f"{name}.log"

    def only(self, *models: str) -> Path:
        """Returns a repository that holds these models and nothing else."""
        chosen = self.folder / "-".join(models)
        chosen.mkdir(exist_ok=True)
        for model in models:
            link = chosen / model
            if not link.exists():
                subprocess.run(["cp", "-r", str(self.repository / model), str(link)], check=True)
        return chosen

    def many(self, model: str, count: int) -> Path:
        """Returns a repository that holds this model under its name and count - 1 others."""
        chosen = self.folder / f"{count}-{model}"
        for number in range(count):
            name = model if number == 0 else f"{model}-{number}"
            if not (chosen / name).exists():
                shutil.copytree(self.repository / model, chosen / name)
        return chosen

    def versions(self, name: str, model: str, count: int) -> Path:
        """Returns a repository of its own in which versions 1 to `count` of this model serve."""
        chosen = self.folder / name
        folder = chosen / model
        for version in range(1, count + 1):
            shutil.copytree(self.repository / model / "1", folder / str(version))
        (folder / "model.toml").write_text("[versions]\nall = true\n")
        return chosen

    def state(self, name: str) -> tuple[str, str]:
        """Returns the options of a state folder of its own: servers do not share one."""
        return "--state-dir", str(self.folder / f"state-{name}")

    def body(self, model: str, rows: int = 1) -> Path:
        """Returns a file with the request's bytes."""
        return payload.write(
            self.folder / f"{model}-{rows}.body", model, (rows, *payload.SHAPES[model])
        )

    def partner(self, *arguments: object) -> float:
        """Runs bench/partners.py on the server's core and returns its number."""
        command = ["taskset", "-c", SERVER_CORE, sys.executable, str(HERE / "partners.py")]
        command += [str(argument) for argument in arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(done.stdout)

    def model(self, name: str) -> Path:
        """Returns the path of a model's file."""
        return self.repository / name / "1" / "model.onnx"


def small_requests(setting: Setting) -> list[Figure]:
    """Small model at four depths against a server of static files."""
    figures = []
    body = setting.body("mlp")
    goals = {(4, 64): 0.6, (4, 1): 0.5, (64, 1): 0.5, (256, 1): 0.5}
    with (
        Fastserve(setting.only("mlp"), setting.log("fastserve")) as ours,
        Nghttpd(setting.folder / "static", setting.log("nghttpd")) as theirs,
    ):
        for (connections, in_flight), goal in goals.items():
            rates = []
            for _ in range(setting.repeats):
                load = partial(
                    h2load.run,
                    connections=connections,
                    in_flight=in_flight,
                    seconds=setting.seconds,
                )
                mine, other = load(ours.url(), body=body), load(theirs.url())
                rates.append((mine.requests_per_second, other.requests_per_second))
            figures.append(
                Figure(
                    f"mlp {connections} x {in_flight}",
                    "requests/s against nghttpd's 90-byte file",
                    [mine / other for mine, other in rates],
                    goal,
                    detail={
                        "fastserve_rps": statistics.median(mine for mine, _ in rates),
                        "nghttpd_rps": statistics.median(other for _, other in rates),
                    },
                )
            )
    return figures


def one_in_flight(setting: Setting) -> list[Figure]:
    """One call at a time: what the server adds to the model's own time."""
    body = setting.body("mlp")
    values, mine_us, other_us, runtime_us = [], [], [], []
    with (
        Fastserve(setting.only("mlp"), setting.log("fastserve")) as ours,
        Nghttpd(setting.folder / "static", setting.log("nghttpd")) as theirs,
    ):
        for _ in range(setting.repeats):
            alone = setting.partner("once", setting.model("mlp"), 1, 0.5)
            load = partial(h2load.run, connections=1, requests=4_000, log=True)
            mine = load(ours.url(), body=body).percentile(0.5)
            other = load(theirs.url()).percentile(0.5)
            values.append((mine - alone) / other)
            mine_us.append(mine)
            other_us.append(other)
            runtime_us.append(alone)
    detail = {
        "fastserve_p50_us": statistics.median(mine_us),
        "runtime_us": statistics.median(runtime_us),
        "nghttpd_p50_us": statistics.median(other_us),
    }
    what = "(p50 - ONNX Runtime's own time) against nghttpd's p50"
    return [Figure("mlp 1 x 1", what, values, 1.5, at_least=False, detail=detail)]


def busy_python(setting: Setting) -> list[Figure]:
    """Tail latency beside a Python thread that never stops computing; server on both cores."""
    body = setting.body("mlp")
    calm_us, busy_us = [], []
    program = (str(HERE / "busy_server.py"),)
    repository = setting.only("mlp")
    states = setting.state("calm"), setting.state("busy")
    calm_log, busy_log = setting.log("calm"), setting.log("busy")
    with (
        Fastserve(repository, calm_log, cores="0,1", options=states[0]) as calm,
        Fastserve(repository, busy_log, cores="0,1", options=states[1], program=program) as busy,
    ):
        paced = partial(h2load.paced, body=body, rate=PACED_RATE, seconds=PACED_SECONDS)
        for _ in range(setting.repeats):
            # The busy server is stopped while the calm one is measured, or its thread would take
            # a core from it.
            busy.process.send_signal(signal.SIGSTOP)
            calm_us.append(paced(calm.url()).percentile(0.999))
            busy.process.send_signal(signal.SIGCONT)
            busy_us.append(paced(busy.url()).percentile(0.999))
    detail = {
        "calm_p999_us": statistics.median(calm_us),
        "busy_p999_us": statistics.median(busy_us),
    }
    values = [busy / calm for busy, calm in zip(busy_us, calm_us, strict=True)]
    what = f"p99.9 at {PACED_RATE} requests/s, with against without"
    return [Figure("busy Python thread", what, values, 1.3, at_least=False, detail=detail)]


def scraped(setting: Setting) -> list[Figure]:
    """Tail latency while the page of a hundred models is scraped; server on both cores."""
    body = setting.body("mlp")
    calm_us, scraped_us, page_ms = [], [], []
    repository = setting.many("mlp", SCRAPED_MODELS)
    with Fastserve(repository, setting.log("scraped"), cores="0,1") as ours:
        paced = partial(h2load.paced, ours.url(), body, rate=PACED_RATE, seconds=PACED_SECONDS)
        for _ in range(setting.repeats):
            calm_us.append(paced().percentile(0.999))
            with Scraper(ours.http) as scraper:
                scraped_us.append(paced().percentile(0.999))
            page_ms += [seconds * 1000 for seconds in scraper.seconds]
    detail = {
        "calm_p999_us": statistics.median(calm_us),
        "scraped_p999_us": statistics.median(scraped_us),
        "page_p50_ms": statistics.median(page_ms),
        "page_max_ms": max(page_ms),
    }
    values = [busy / calm for busy, calm in zip(scraped_us, calm_us, strict=True)]
    what = (
        f"p99.9 at {PACED_RATE} requests/s while {SCRAPED_MODELS} models are scraped "
        f"{SCRAPES_PER_SECOND} times a second, against without"
    )
    return [Figure("scraped", what, values, 1.3, at_least=False, detail=detail)]


def shadowing(setting: Setting) -> list[Figure]:
    """p99 while a candidate runs on half of the rows; with a spare core for it and without."""
    repository = setting.versions("shadowed", "mlp", 2)
    body = setting.body("mlp")
    figures = []
    for cores in ("0,1", SERVER_CORE):
        pairs = []
        with (
            Fastserve(repository, setting.log(f"shadow-{cores}"), cores=cores) as server,
            ShadowClient(server.grpc) as shadow,
        ):
            paced = partial(
                h2load.paced, server.url(), body, rate=PACED_RATE, seconds=PACED_SECONDS
            )
            for _ in range(setting.repeats):
                alone = paced().percentile(0.99)
                shadow.start("mlp", 1, version=2, share=0.5)
                beside = paced().percentile(0.99)
                found = shadow.stop("mlp")
                pairs.append((alone, beside, found["compared"], found["dropped"]))
        names = ("alone_p99_us", "shadowed_p99_us", "compared_rows", "dropped_rows")
        detail = {
            name: statistics.median(column)
            for name, column in zip(names, zip(*pairs, strict=True), strict=True)
        }
        what = f"p99 at {PACED_RATE} requests/s with half of the rows shadowed, against none"
        values = [beside / alone for alone, beside, _, _ in pairs]
        name = f"shadow, {len(cores.split(','))} core(s)"
        figures.append(Figure(name, what, values, 1.1, at_least=False, detail=detail))
    return figures


def rows_against_runtime(
    setting: Setting, model: str, rows: int, in_flight: int, goal: float
) -> Figure:
    """Rows per second in a closed loop against ONNX Runtime alone in a loop."""
    body = setting.body(model, rows)
    pairs = []
    with Fastserve(setting.only(model), setting.log(model)) as ours:
        for _ in range(setting.repeats):
            seconds = max(setting.seconds, 4.0) if model == "conv" else setting.seconds
            alone = setting.partner("runtime", setting.model(model), rows, seconds)
            load = partial(h2load.run, connections=4, in_flight=in_flight, seconds=seconds)
            mine = load(ours.url(), body=body).requests_per_second * rows
            pairs.append((mine, alone))
    detail = {
        "fastserve_rows_per_s": statistics.median(mine for mine, _ in pairs),
        "runtime_rows_per_s": statistics.median(alone for _, alone in pairs),
    }
    what = f"rows/s at 4 x {in_flight} requests of {rows} row(s) against ONNX Runtime alone"
    return Figure(model, what, [mine / alone for mine, alone in pairs], goal, detail=detail)


def convolution(setting: Setting) -> list[Figure]:
    """A model that computes for tens of milliseconds: the server must not be in its way."""
    return [rows_against_runtime(setting, "conv", 1, 1, 0.98)]


def trees(setting: Setting) -> list[Figure]:
    """Boosted trees: many small requests, and requests that bring their own batch."""
    mlp, gbt = setting.body("mlp"), setting.body("gbt")
    pairs = []
    with Fastserve(setting.only("mlp", "gbt"), setting.log("trees")) as ours:
        for _ in range(setting.repeats):
            load = partial(h2load.run, connections=4, in_flight=64, seconds=setting.seconds)
            of_trees = load(ours.url(), body=gbt).requests_per_second
            of_mlp = load(ours.url(), body=mlp).requests_per_second
            pairs.append((of_trees, of_mlp))
    detail = {
        "gbt_rps": statistics.median(mine for mine, _ in pairs),
        "mlp_rps": statistics.median(other for _, other in pairs),
    }
    values = [mine / other for mine, other in pairs]
    report = Figure("gbt 4 x 64", "requests/s against mlp at the same depth", values, detail=detail)
    return [report, rows_against_runtime(setting, "gbt", 64, 4, 0.8)]


def large_tensors(setting: Setting) -> list[Figure]:
    """Images of 602 KB into a model that hardly computes."""
    body = setting.body("gap")
    pairs = []
    with Fastserve(setting.only("gap"), setting.log("gap")) as ours:
        for _ in range(setting.repeats):
            copy = setting.partner("copy", IMAGE_BYTES, setting.seconds)
            load = partial(h2load.run, connections=2, in_flight=4, seconds=setting.seconds)
            rate = load(ours.url(), body=body).requests_per_second
            pairs.append((rate * IMAGE_BYTES / 1e6, copy))
    detail = {
        "fastserve_mb_per_s": statistics.median(mine for mine, _ in pairs),
        "tcp_copy_mb_per_s": statistics.median(copy for _, copy in pairs),
    }
    what = "MB/s of 602 KB images against a plain loopback copy"
    return [Figure("gap", what, [mine / copy for mine, copy in pairs], 0.35, detail=detail)]


def sketches(setting: Setting) -> list[Figure]:
    """Every row sketched, and predictions kept for their labels, against neither."""
    body = setting.body("mlp")
    repository = setting.only("mlp")
    without = {"FASTSERVE_DRIFT__ENABLED": "false", "FASTSERVE_FEEDBACK__ENABLED": "false"}
    states = setting.state("sketched"), setting.state("unsketched")
    plain_log = setting.log("unsketched")
    pairs = []
    with (
        Fastserve(repository, setting.log("sketched"), options=states[0]) as sketched,
        Fastserve(repository, plain_log, options=states[1], environment=without) as plain,
    ):
        load = partial(h2load.run, connections=4, in_flight=64, seconds=setting.seconds, body=body)
        for _ in range(setting.repeats):
            mine = load(sketched.url()).requests_per_second
            pairs.append((mine, load(plain.url()).requests_per_second))
        skipped = sketched.sum_of("fastserve_sketch_skipped_rows_total")
        rows = sketched.sum_of("fastserve_sketch_rows_total")
    detail = {
        "sketched_rps": statistics.median(mine for mine, _ in pairs),
        "plain_rps": statistics.median(other for _, other in pairs),
        "rows_sketched": rows,
        "rows_skipped": skipped,
    }
    what = "requests/s of 30 features at 4 x 64, every row sketched, against sketches off"
    return [Figure("sketches", what, [mine / other for mine, other in pairs], 0.93, detail=detail)]


def routes(setting: Setting) -> list[Figure]:
    """A sticky route of ten versions against none; both servers have them all loaded."""
    repository = setting.versions("routed", "mlp", ROUTED_VERSIONS)
    states = setting.state("routed"), setting.state("unrouted")
    body = setting.body("mlp")
    entries = [{"version": n, "weight": 1} for n in range(1, ROUTED_VERSIONS + 1)]
    pairs = []
    with (
        Fastserve(repository, setting.log("routed"), options=states[0]) as routed,
        Fastserve(repository, setting.log("plain"), options=states[1]) as plain,
    ):
        with ReleaseClient(routed.grpc, timeout=30) as client:
            client.set_route("mlp", {"entries": entries, "sticky": "header:x-user"})
        # One key, one version: what differs is the route, not how full the batches are.
        load = partial(
            h2load.run,
            connections=4,
            in_flight=64,
            seconds=setting.seconds,
            body=body,
            headers=("x-user: anna",),
        )
        for _ in range(setting.repeats):
            mine = load(routed.url()).requests_per_second
            pairs.append((mine, load(plain.url()).requests_per_second))
    detail = {
        "routed_rps": statistics.median(mine for mine, _ in pairs),
        "plain_rps": statistics.median(other for _, other in pairs),
    }
    what = f"requests/s at 4 x 64, a sticky route of {ROUTED_VERSIONS} versions against none"
    return [Figure("routes", what, [mine / other for mine, other in pairs], 0.97, detail=detail)]


def everything(setting: Setting) -> list[Figure]:
    """A canary behind a sticky route, every row sketched, scraped once a second."""
    body = setting.body("mlp")
    entries = [{"version": 1, "weight": 95}, {"version": 2, "weight": 5}]
    rates = []
    with (
        Fastserve(setting.versions("everything", "mlp", 2), setting.log("everything")) as ours,
        Nghttpd(setting.folder / "static", setting.log("nghttpd")) as theirs,
        ReleaseClient(ours.grpc) as release,
    ):
        release.set_route("mlp", {"entries": entries, "sticky": "header:x-user"})
        load = partial(h2load.run, connections=4, in_flight=64, seconds=setting.seconds)
        for _ in range(setting.repeats):
            with Scraper(ours.http, scrapes_per_second=1):
                mine = load(ours.url(), body=body, headers=("x-user: anna",))
            rates.append((mine.requests_per_second, load(theirs.url()).requests_per_second))
    what = "requests/s at 4 x 64, routed, sketched and scraped, against nghttpd's 90-byte file"
    return [Figure("everything on", what, [mine / other for mine, other in rates], 0.7)]


def connections(setting: Setting) -> list[Figure]:
    """What a connection costs that sends a request a second, while so many others do."""
    body = setting.body("mlp")
    load = partial(h2load.run, body=body)
    kilobytes = []
    for _ in range(setting.repeats):
        with (
            Fastserve(setting.only("mlp"), setting.log("connections")) as ours,
            ThreadPoolExecutor(1) as caller,
        ):
            load(ours.url(), connections=4, in_flight=64)
            most = before = ours.resident_bytes()
            done = caller.submit(
                load,
                ours.url(),
                connections=MANY_CONNECTIONS,
                requests_per_second=MANY_CONNECTIONS,
                seconds=5,
            )
            while not done.done():
                most = max(most, ours.resident_bytes())
                time.sleep(0.1)
            done.result()
        kilobytes.append((most - before) / MANY_CONNECTIONS / 1024)
    what = f"KiB resident a connection, {MANY_CONNECTIONS:,} of them at a request a second each"
    return [Figure("connections", what, kilobytes, 16, at_least=False)]


def memory_and_start(setting: Setting) -> list[Figure]:
    """One small model: resident memory once it answered, and the time to that answer."""
    request = payload.message("mlp", (1, *payload.SHAPES["mlp"]))
    megabytes, seconds = [], []
    for _ in range(setting.repeats):
        with Fastserve(setting.only("mlp"), setting.log("start"), cores="0,1") as ours:
            with grpc.insecure_channel(ours.grpc) as channel:
                path = "/inference.GRPCInferenceService/ModelInfer"
                infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
                infer(request, timeout=5)
            seconds.append(time.monotonic() - ours.started)
            megabytes.append(ours.resident_bytes() / 1e6)
    return [
        Figure("resident memory", "MB after a 10 KB model answered", megabytes, 80, at_least=False),
        Figure("start", "s from process start to first answer", seconds, 0.5, at_least=False),
    ]


FIGURES: dict[str, Callable[[Setting], list[Figure]]] = {
    "small": small_requests,
    "one": one_in_flight,
    "busy": busy_python,
    "scraped": scraped,
    "shadow": shadowing,
    "conv": convolution,
    "large": large_tensors,
    "trees": trees,
    "sketches": sketches,
    "routes": routes,
    "everything": everything,
    "connections": connections,
    "start": memory_and_start,
}


def show(figures: list[Figure]) -> None:
    """Prints the table."""
    table = Table(title="fastserve: measured beside a partner in the same run")
    for heading in ("figure", "what", "median", "range", "goal", "met"):
        table.add_column(heading)
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        verdict = {True: "yes", False: "NO", None: ""}[figure.is_met]
        table.add_row(
            figure.name,
            figure.what,
            f"{figure.median:.3g}",
            f"{min(figure.values):.3g} - {max(figure.values):.3g}",
            "report" if figure.goal is None else f"{sign} {figure.goal:g}",
            verdict,
        )
    console = Console(width=132)
    console.print(table)
    for figure in figures:
        if figure.detail:
            parts = ", ".join(f"{key} {value:,.0f}" for key, value in figure.detail.items())
            console.print(f"{figure.name}: {parts}")


def main() -> None:
    """Measures what is asked for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(FIGURES), default=list(FIGURES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    repository = bench_models()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="fastserve-bench-") as folder:
        setting = Setting(repository, Path(folder), arguments.repeats, arguments.seconds)
        for name in arguments.only:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            figures += FIGURES[name](setting)
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1))


if __name__ == "__main__":
    main()
