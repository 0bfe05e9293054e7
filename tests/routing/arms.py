"""A world for a rollout: time, routes, and two versions that behave as told."""

from fastserve._core import core
from fastserve.durable.state_file import read_state, write_state
from fastserve.errors import ExecutionFailed, StaleRouteTable
from fastserve.rollout_spec import Guards, LatencyLimit, OutputLimit, Rollout, Step
from fastserve.routing.evidence import ArmCounters
from fastserve.routing.rollout_controller import RolloutController
from fastserve.routing.rollout_record import RolloutStore
from fastserve.routing.route_keeper import Weights

BOUNDS = core.BUCKET_BOUNDS_SECONDS
# Errors alone, which need few requests.
QUICK = Guards(latency=LatencyLimit(enabled=False), outputs=OutputLimit(enabled=False))


def rollout(*weights, guards=QUICK, **fields):
    """Of versions 1 and 2, with steps that need little."""
    steps = tuple(Step(weight=weight, min_requests=10) for weight in weights or (0.1, 0.5))
    return Rollout(**{"baseline": 1, "candidate": 2, "steps": steps, "guards": guards, **fields})


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return 1e9 + self.now

    async def sleep(self, seconds):
        self.now += seconds


class Routes:
    """Routes in memory, with compare-and-set, and what was set by whom."""

    def __init__(self):
        self.found = {}
        self.calls = []
        self.refusal = None

    def weights(self, model):
        return self.found.get(model, Weights(0, {}))

    async def set_weights(
        self, model, shares, *, expected_generation, actor, reason, waits_for_disk=True
    ):
        if self.refusal is not None:
            raise self.refusal
        generation = self.weights(model).generation
        if generation != expected_generation:
            raise StaleRouteTable(f"has generation {generation}, expected {expected_generation}")
        self.found[model] = Weights(generation + 1, dict(shares))
        self.calls.append((dict(shares), actor, reason))
        return self.found[model]

    def change(self, model="m"):
        """As somebody else does."""
        now = self.found[model]
        self.found[model] = Weights(now.generation + 1, now.shares)


class DurableRoutes(Routes):
    """Routes that are on the disk before anybody is told."""

    def __init__(self, folder):
        super().__init__()
        folder.mkdir(exist_ok=True)
        self._path = folder / "routes.state"
        self.found = read_state(self._path, dict[str, Weights]).value or {}

    async def set_weights(self, model, shares, **words):
        before = dict(self.found)
        try:
            now = await super().set_weights(model, shares, **words)
            write_state(self._path, self.found)
        except OSError as error:
            self.found = before
            raise ExecutionFailed(str(error)) from error
        return now


class Arms:
    """Counters of versions 1 and 2; `failing` is the share of version 2 that fails."""

    def __init__(self):
        self.counts = {1: ArmCounters(durations=(0,) * 21), 2: ArmCounters(durations=(0,) * 21)}
        self.kept = {1: [], 2: []}

    def counters(self, model, version):
        return self.counts.get(version) if model == "m" else None

    def minutes(self, model, version, after):
        return [minute for minute in self.kept[version] if minute.start > after]

    def serve(self, version, answers, failed=0):
        before = self.counts[version]
        durations = list(before.durations)
        durations[5] += answers
        self.counts[version] = ArmCounters(
            answers=before.answers + answers,
            failures={"execution": before.failures.get("execution", 0) + failed},
            durations=tuple(durations),
        )


class World:
    """A controller over all of it. `again` is what a restart makes of it."""

    def __init__(self, folder=None, routes=None):
        self.clock, self.routes, self.arms = Clock(), routes or Routes(), Arms()
        self.folder = folder
        self.problems = []
        self.changes = []
        self.again()

    def again(self):
        self.controller = RolloutController(
            self.routes,
            self.arms,
            RolloutStore(self.folder),
            clock=self.clock,
            bounds=BOUNDS,
            on_problem=self.problems.append,
        )
        self.controller.listen(self.changes.append)

    async def start(self, rollout, **words):
        return await self.controller.start("m", rollout, **{"actor": "anna", **words})

    async def pass_seconds(self, seconds, *, candidate=50, baseline=450, failed=0):
        """Each with so many answers; of the candidate's, `failed` fail instead."""
        for _ in range(seconds):
            self.clock.now += 1
            if candidate:
                self.arms.serve(2, candidate - failed, failed)
            if baseline:
                self.arms.serve(1, baseline)
            await self.controller.tick()

    @property
    def record(self):
        return self.controller.status("m")[0].record

    @property
    def state(self):
        return str(self.record.state)

    @property
    def shares(self):
        return self.routes.weights("m").shares
