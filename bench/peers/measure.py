"""Measures one peer beside fastserve: in turn, with the same requests, at the same loads.

Only one of the two runs at a time: some peers are never idle, and there is one core for servers.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import generator
import h2load
import payload
from children import Fastserve
from peers.comparison import Comparison, Paced
from peers.environment import Unavailable
from peers.peer import GRPC, check, expected_outputs, first_answer
from peers.tree import cpu_seconds, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from children import Child
    from peers.comparison import Side
    from peers.peer import Arrays, Peer, Wire

SHARES = (0.25, 0.5, 0.75)  # of the peer's own capacity
PACED_CONNECTIONS = 64
LOOK_SECONDS = 3.0
# Of a request; beyond, one core of h2load is slower than the server.
LARGE_BYTES = 100_000
MOST_ROWS = 64  # in a batch of any peer
BATCHES = 20  # are to be answered meanwhile: one more or fewer is 5 % then
WARM_UP_SECONDS = 2.0


@dataclass(frozen=True)
class Subject:
    """One model and the request that is sent to it."""

    name: str
    repository: Path
    folder: Path

    @property
    def file(self) -> Path:
        """Returns the ONNX file."""
        return self.repository / self.name / "1" / "model.onnx"

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Returns those of the requests that come in turn: one row each."""
        return [(1, *row) for row in payload.rows(self.name)]

    @cached_property
    def expected(self) -> list[Arrays]:
        """Returns ONNX Runtime's own answer to each."""
        return expected_outputs(self.name, self.file, self.shapes)

    def alone(self) -> Path:
        """Returns a repository that holds this model and nothing else."""
        chosen = self.folder / f"only-{self.name}"
        if not chosen.exists():
            shutil.copytree(self.repository / self.name, chosen / self.name)
        return chosen


class Target:
    """A server that has answered as ONNX Runtime does, ready to be loaded.

    h2load drives it, or `fastserve bench` where h2load cannot: needs_generator. Errors: Unavailable
    when it does not answer, or wrongly.
    """

    def __init__(
        self, wire: Wire, subject: Subject, server: Child, address: str, *, is_poisson: bool
    ) -> None:
        self.wire = wire
        self.server = server
        bodies = [wire.write(subject.name, shape) for shape in subject.shapes]
        answer = first_answer(wire, server, address, bodies[0])
        self.start_seconds = time.monotonic() - server.started
        answers = [answer, *(wire.call(address, body) for body in bodies[1:])]
        for found, expected in zip(answers, subject.expected, strict=True):
            check(wire, found, expected)
        path = subject.folder / f"{subject.name}{'-http' if wire.http1 else ''}.body"
        path.write_bytes(wire.framed(bodies[0]))
        self._generate: Callable[..., dict[str, Any]] | None = None
        if needs_generator(bodies, is_poisson=is_poisson):
            if wire.http1:
                raise Unavailable("such a load has no generator over HTTP/1.1")
            options: list[object] = []
            for number, body in enumerate(bodies):
                message = path.with_name(f"{path.stem}-{number}.message")
                message.write_bytes(body)
                options += ["--payload", message]
            self._generate = partial(generator.run, address, subject.name, *options)
        self._arrivals = "poisson" if is_poisson else "constant"
        self._load = partial(
            h2load.run,
            f"http://{address}{wire.path}",
            body=path,
            headers=wire.headers,
            http1=wire.http1,
            answer_bytes=len(wire.framed(answer)),
        )

    def closed(self, connections: int, in_flight: int, seconds: float) -> h2load.Load:
        """Loads it with as many requests as it answers. Errors: h2load.Failed."""
        if self._generate is not None:
            depth = "--connections", connections, "--in-flight", in_flight
            found = self._generate(*depth, "--duration", seconds)
            return h2load.Load(found["requests_per_second"])
        return self._load(connections=connections, in_flight=in_flight, seconds=seconds)

    def capacity(self, connections: int, in_flight: int, seconds: float) -> tuple[float, float]:
        """Returns requests/s of a closed loop, and how many cores the server had meanwhile."""
        pid = self.server.process.pid
        before, began = cpu_seconds(pid), time.monotonic()
        load = self.closed(connections, in_flight, seconds)
        cores = (cpu_seconds(pid) - before) / (time.monotonic() - began)
        return load.requests_per_second, cores

    def pace(self, paced: Paced, seconds: float) -> None:
        """Loads it at the rate of `paced`, which takes what was measured. Errors: h2load.Failed."""
        rate = paced.offered_rps
        if self._generate is not None:
            load = "--rate", rate, "--arrivals", self._arrivals, "--duration", seconds
            found = self._generate(*load, "--connections", PACED_CONNECTIONS)
            paced.add_counts(found["requests_per_second"], found["latency_counts_ms"])
            return
        logged = self._load(
            connections=PACED_CONNECTIONS,
            in_flight=1 if self.wire.http1 else PACED_CONNECTIONS,
            # Two more on each connection: the first and the last ones are left out.
            requests=round(rate * seconds) + 2 * PACED_CONNECTIONS,
            requests_per_second=rate,
            spread=True,
            log=True,
        )
        paced.add(logged, PACED_CONNECTIONS)


def needs_generator(bodies: list[bytes], *, is_poisson: bool) -> bool:
    """Tells whether h2load cannot: Poisson arrivals, bodies in turn, large ones fast enough."""
    return is_poisson or len(bodies) > 1 or len(bodies[0]) > LARGE_BYTES


@dataclass(frozen=True)
class Bench:
    """Where models and scratch files are, how often and how long to measure."""

    repository: Path
    folder: Path
    repeats: int
    seconds: float
    is_poisson: bool = False

    def compare(self, peer: Peer, model: str) -> Comparison:
        """Returns the figures, or the reason why there are none."""
        found = Comparison(peer.name, model, peer.settings)
        subject = Subject(model, self.repository, self.folder)
        target = partial(Target, is_poisson=self.is_poisson)
        try:
            python = peer.install()
            for repeat in range(self.repeats):
                folder = self.folder / f"{peer.name}-{model}-{repeat}"
                server, address = peer.start(python, subject.file, folder)
                with server:
                    self._load(found, found.theirs, target(peer.wire, subject, server, address))
                options = ("--state-dir", str(folder / "state"))
                log = folder / "fastserve.log"
                with Fastserve(subject.alone(), log, options=options) as ours:
                    self._load(found, found.ours, target(GRPC, subject, ours, ours.grpc))
        except Unavailable as reason:
            found.reason = str(reason)
        except h2load.Failed as reason:
            found.reason = f"under load: {reason}"
        return found

    def _load(self, found: Comparison, side: Side, target: Target) -> None:
        """Runs every load on one server. The first to come, the peer, sets depth and rates."""
        side.start_seconds.append(target.start_seconds)
        if not found.connections:
            choose_depth(found, target, self.seconds)
        depth = found.connections, found.in_flight
        target.closed(*depth, WARM_UP_SECONDS)
        rps, cores = target.capacity(*depth, self.seconds)
        side.rps.append(rps)
        side.rps_per_core.append(rps / cores)
        if not found.theirs.paced:
            rates = [max(1, round(side.rps[0] * share)) for share in SHARES]
            found.theirs.paced = [Paced(rate) for rate in rates]
            found.ours.paced = [Paced(rate) for rate in rates]
        for paced in side.paced:
            target.pace(paced, self.seconds)
        side.resident_mb.append(resident_bytes(target.server.process.pid) / 1e6)


def choose_depth(found: Comparison, theirs: Target, seconds: float) -> None:
    """Sets the deepest load, or where that fails or would tell too little the best of the others.

    Errors: h2load.Failed when every depth fails.
    """
    deepest = theirs.wire.depths[0]
    rates: dict[tuple[int, int], float] = {}
    failure = ""
    for depth in theirs.wire.depths:
        try:
            rates[depth] = theirs.closed(*depth, LOOK_SECONDS).requests_per_second
        except h2load.Failed as error:
            failure = str(error)
            continue
        if depth == deepest and tells_enough(depth, rates[depth], seconds):
            break
    if not rates:
        raise h2load.Failed(failure)
    telling = [depth for depth, rate in rates.items() if tells_enough(depth, rate, seconds)]
    # The last one has the fewest in flight.
    best = max(telling, key=lambda depth: rates[depth], default=list(rates)[-1])
    found.connections, found.in_flight = best
    if best != deepest:
        found.note = f"too slow for {deepest[0]} x {deepest[1]}, or failed; its best depth instead"


def tells_enough(depth: tuple[int, int], rate: float, seconds: float) -> bool:
    """Tells whether so many seconds hold enough answers.

    A batch is answered at once: a run may hold a part of one more, or of one fewer, than it ran.
    """
    return rate * seconds >= BATCHES * min(depth[0] * depth[1], MOST_ROWS)
