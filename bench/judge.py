"""How often is the judge wrong, how soon is it right? Simulated rollouts, looked at each second.

    python bench/judge.py                 1,000 rollouts of each world: some minutes
    python bench/judge.py --rollouts 100

Each rollout goes through steps of 5, 25 and 50 % of 500 requests/s, or stays at 10 %. A world says
what happens to both arms (answers that are alike within a second, rates that change over the day)
and what is wrong with the candidate. Durations are lognormal with a median of 2 ms; requests fail
at 1 %; an output is a probability, beta-distributed, sketched minute by minute as the server does.
"""

import argparse
import math
import statistics
from concurrent.futures import ProcessPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from fastserve._core import core
from fastserve.rollout_spec import Guards, OutputLimit, Rollout, Step
from fastserve.routing.evidence import ArmCounters, Minute, Pair
from fastserve.routing.guard import Verdict
from fastserve.routing.judge import Judge

BOUNDS: Final = np.array(core.BUCKET_BOUNDS_SECONDS)
# Of the logarithm of a duration: p99 is 3.2 times the median.
SPREAD: Final = 0.5
SCHEMA: Final = core.TableSchema([("probability", False, "FP32", 1)])
CANARY: Final = (0.1,)


class World(NamedTuple):
    """What both arms live in, and what is wrong with the candidate."""

    name: str
    weights: tuple[float, ...] = CANARY
    requests_a_second: float = 500.0
    seconds: int = 600
    error_rate: float = 0.01
    # Standard deviation of what a second does to the logarithm of all its durations.
    shared: float = 0.0
    # Seconds in which a pause makes a tenth of both arms ten times slower.
    pauses: float = 0.0
    # Traffic and errors go up and down by so much of themselves in ten minutes.
    swing: float = 0.0
    more_errors: float = 0.0
    slower: float = 1.0
    # Share of the candidate's requests that take three times as long.
    slow_share: float = 0.0
    # What is added to the first parameter of the candidate's beta distribution.
    shift: float = 0.0
    with_outputs: bool = False
    # Looked at to the end of its time, however well it does.
    is_endless: bool = False


class Outcome(NamedTuple):
    """How a rollout ended: rolled back, passed, or neither in its time."""

    verdict: Verdict
    requests: int
    seconds: int
    reason: str


STEPS: Final = (0.05, 0.25, 0.5)
ALIKE: Final = (
    World("alike, 10 %"),
    World("alike, steps", weights=STEPS),
    World("alike, seconds alike", shared=0.3),
    World("alike, pauses", pauses=0.05, shared=0.1),
    World("alike, rates change over the day", weights=STEPS, swing=0.8),
    World("alike, all of these", weights=STEPS, swing=0.8, shared=0.3, pauses=0.05),
    World("alike, all of these, never let go", swing=0.8, shared=0.3, pauses=0.05, is_endless=True),
    World("alike, with outputs", weights=STEPS, with_outputs=True, shared=0.1),
    World("alike, 1 request/s", requests_a_second=1.0, seconds=3600),
)
FAULTY: Final = (
    World("2 % more errors", more_errors=0.02),
    World("2 % more errors, all of the above", more_errors=0.02, swing=0.8, shared=0.3),
    World("all durations x 1.5", slower=1.5),
    World("all durations x 1.5, seconds alike", slower=1.5, shared=0.3, pauses=0.05),
    World("p99 alone x 1.5", slow_share=0.053),
    World("one class's probability shifted", shift=0.8, with_outputs=True),
)
WORLDS: Final = {world.name: world for world in (*ALIKE, *FAULTY)}


def simulate(world: World, seed: int) -> Outcome:
    """One rollout from its beginning to a verdict, or to the end of its time."""
    chance = np.random.default_rng(seed)
    rollout = Rollout(
        baseline=1,
        candidate=2,
        steps=tuple(
            Step(weight=weight, min_requests=10**9 if world.is_endless else 1000)
            for weight in world.weights
        ),
        guards=Guards(outputs=OutputLimit(enabled=world.with_outputs)),
    )
    requests = seconds = 0
    for step, weight in enumerate(world.weights):
        judge = Judge(rollout, step, core.BUCKET_BOUNDS_SECONDS)
        sketches = [core.TableSketch(SCHEMA), core.TableSketch(SCHEMA)]
        judgement = judge.judge(0)
        for second in range(1, world.seconds + 1):
            pair, arms = _second(world, weight, second, chance)
            judge.add(pair)
            if world.with_outputs:
                _sketch(world, arms, sketches, chance)
                if second % 60 == 0:
                    judge.add_minutes(*([Minute(second, sketch)] for sketch in sketches))
                    sketches = [core.TableSketch(SCHEMA), core.TableSketch(SCHEMA)]
            judgement = judge.judge(second)
            if judgement.verdict is not Verdict.HOLD:
                break
        requests += judgement.candidate_requests
        seconds += int(judgement.seconds)
        if judgement.verdict is not Verdict.PASS:
            break
    return Outcome(judgement.verdict, requests, seconds, judgement.reason)


def _second(
    world: World, weight: float, second: int, chance: np.random.Generator
) -> tuple[Pair, tuple[int, int]]:
    wave = 1 + world.swing * math.sin(2 * math.pi * second / 600)
    total = chance.poisson(world.requests_a_second * wave)
    candidate = int(chance.binomial(total, weight))
    counts = candidate, int(total) - candidate
    # The night has few requests and many errors.
    errors = world.error_rate * (2 - wave)
    common = chance.normal(0, world.shared) if world.shared else 0.0
    pause = chance.random() < world.pauses
    arms = []
    for count, is_candidate in zip(counts, (True, False), strict=True):
        rate = errors + (world.more_errors if is_candidate else 0.0)
        failed = int(chance.binomial(count, rate))
        logs = math.log(0.002) + common + chance.normal(0, SPREAD, count - failed)
        if pause:
            logs[chance.random(logs.size) < 0.1] += math.log(10)
        if is_candidate:
            logs += math.log(world.slower)
            if world.slow_share:
                logs[chance.random(logs.size) < world.slow_share] += math.log(3)
        places = np.searchsorted(BOUNDS, np.exp(logs))
        durations = np.bincount(places, minlength=len(BOUNDS) + 1)
        arms.append(
            ArmCounters(
                answers=count - failed,
                failures={"execution": failed},
                durations=tuple(durations.tolist()),
            )
        )
    return Pair(*arms), counts


def _sketch(
    world: World,
    counts: tuple[int, int],
    sketches: list[core.TableSketch],
    chance: np.random.Generator,
) -> None:
    for count, sketch, shift in zip(counts, sketches, (world.shift, 0.0), strict=True):
        rows = chance.beta(2 + shift, 5, count).astype(np.float32)
        sketch.add(0, count, rows.tobytes())


def run_one(job: tuple[World, int]) -> Outcome:
    """For a pool of processes."""
    return simulate(*job)


def main() -> None:
    """Prints a line for each world."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--only", default="", help="worlds whose name has this in it")
    options = parser.parse_args()
    print(f"{options.rollouts} rollouts of each world, looked at every second")
    print(f"{'WORLD':36}{'ROLLED BACK':>12}{'PASSED':>9}{'HELD':>7}{'MEDIAN REQUESTS':>17}"
          f"{'MEDIAN SECONDS':>16}")  # fmt: skip
    with ProcessPoolExecutor() as pool:
        for world in WORLDS.values():
            if options.only not in world.name:
                continue
            jobs = [(world, seed) for seed in range(options.rollouts)]
            found = list(pool.map(run_one, jobs, chunksize=10))
            shares = [
                sum(each.verdict is verdict for each in found) / len(found)
                for verdict in (Verdict.FAIL, Verdict.PASS, Verdict.HOLD)
            ]
            print(
                f"{world.name:36}{shares[0]:12.1%}{shares[1]:9.1%}{shares[2]:7.1%}"
                f"{statistics.median(each.requests for each in found):17,.0f}"
                f"{statistics.median(each.seconds for each in found):16,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
