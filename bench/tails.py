"""Figures about how long answers take, and how much longer while something else goes on."""

from __future__ import annotations

import signal
import statistics
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import generator
import h2load
from children import SERVER_CORE, Fastserve, Nghttpd
from figure import Figure
from scraper import SCRAPES_PER_SECOND, Scraper

from fastserve.client import ShadowClient

if TYPE_CHECKING:
    from figure import Setting

HERE = Path(__file__).resolve().parent
PACED_RATE = 2_000
PACED_SECONDS = 6.0
SCRAPED_MODELS = 100
ARRIVALS_LOAD = 0.7  # of what the same connections answer in a closed loop
ARRIVALS_CONNECTIONS = 64


def one_in_flight(setting: Setting) -> list[Figure]:
    """One call at a time: what the server adds to the model's own time."""
    body = setting.body("mlp")
    values, mine_us, other_us, runtime_us = [], [], [], []
    with (
        Fastserve(setting.only("mlp"), setting.log("fastserve")) as ours,
        Nghttpd(setting.folder / "static", setting.log("nghttpd")) as theirs,
    ):
        for _ in range(setting.repeats):
            alone = setting.partner("once", setting.model("mlp"), 1, 0.5, 0)
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


def arrivals(setting: Setting) -> list[Figure]:
    """Tail latency of requests that come at random, against the same number at even times."""
    pairs, offered = [], []
    with Fastserve(setting.only("mlp"), setting.log("arrivals")) as ours:
        load = partial(generator.run, ours.grpc, "mlp", "--connections", ARRIVALS_CONNECTIONS)
        for _ in range(setting.repeats):
            closed = load("--in-flight", 4, "--duration", setting.seconds)["requests_per_second"]
            rate = ARRIVALS_LOAD * closed
            p99 = {}
            for kind in ("constant", "poisson"):
                found = load("--rate", rate, "--arrivals", kind, "--duration", setting.seconds)
                p99[kind] = found["latency_ms"]["p99"] * 1000
            offered.append(rate)
            pairs.append((p99["poisson"], p99["constant"]))
    detail = {
        "offered_rps": statistics.median(offered),
        "poisson_p99_us": statistics.median(poisson for poisson, _ in pairs),
        "even_p99_us": statistics.median(even for _, even in pairs),
    }
    values = [poisson / even for poisson, even in pairs]
    what = f"p99 at {ARRIVALS_LOAD:.0%} of the rate, Poisson arrivals against even ones"
    return [Figure("arrivals", what, values, 2.0, at_least=False, detail=detail)]
