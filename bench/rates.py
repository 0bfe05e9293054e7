"""Figures about how many requests a core answers, each against a partner in the same run."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

import h2load
from children import Fastserve, Nghttpd
from figure import Figure
from scraper import Scraper

from fastserve.client import ReleaseClient

if TYPE_CHECKING:
    from figure import Setting

IMAGE_BYTES = 4 * 3 * 224 * 224
ROUTED_VERSIONS = 10


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
