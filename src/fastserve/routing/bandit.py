"""A champion and its challengers: traffic goes where answers turn out right, by itself.

Thompson sampling, with the share of an arm being the probability that it is the best one. What is
known of an arm is a Beta distribution over its rate of right answers, Beta(1 + right, 1 + wrong):
nothing known is every rate alike. Many draws from all arms' distributions say how often each is the
best. An arm that is worse for sure loses its share; one of which little is known keeps some, and so
becomes known.

Shares are bounded from both sides, so that every arm goes on being measured and none takes all. The
route changes once an interval at most, however fast labels come back, and not at all when no share
has moved by a hundredth.

What was counted is durable, at each interval: a version that is loaded again, and a server that is
started again, begin at nothing and the counts here do not.

Rejected: UCB (its shares are all or nothing at each moment, while many requests are answered before
one label comes); drawing an arm for each request in the core (a route that is a table can be
explained, and replayed).

Source: Thompson, "On the likelihood that one unknown probability exceeds another in view of the
evidence of two samples" (Biometrika 25, 1933); Scott, "A modern Bayesian look at the multi-armed
bandit" (2010), for shares by the probability of being best.

Thread: the event loop's; the disk is waited for in a thread.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np

from fastserve.durable.state_file import read_state, write_state
from fastserve.errors import FastserveError, StaleRouteTable
from fastserve.rollout_spec import Seconds, Share, Version
from fastserve.routing.evidence import ArmCounters, ArmSource
from fastserve.routing.route_keeper import RouteKeeper

ACTOR: Final = "bandit"
FOLDER: Final = "bandits"
# Draws of each arm: a share is right within a hundredth.
_DRAWS: Final = 10_000
_LEAST_CHANGE: Final = 0.01


class Bandit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[routing.bandit]`. Bounds are those of each arm's share."""

    versions: Annotated[tuple[Version, ...], msgspec.Meta(min_length=2, max_length=16)]
    min_share: Share = 0.05
    max_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    interval_seconds: Seconds = 300.0

    def __post_init__(self) -> None:
        count = len(self.versions)
        if len(set(self.versions)) < count:
            raise ValueError("versions: names one twice")
        if self.min_share * count > 1:
            raise ValueError(f"min_share: {self.min_share:g} for {count} versions is more than all")
        if self.max_share * count < 1:
            raise ValueError(f"max_share: {self.max_share:g} for {count} versions is less than all")


class Reward(msgspec.Struct, frozen=True):
    """Of one arm, from labels that came back."""

    right: int = 0
    wrong: int = 0


class _Kept(msgspec.Struct, frozen=True):
    rewards: dict[int, Reward]


def shares_of(
    bandit: Bandit, rewards: Mapping[int, Reward], chance: np.random.Generator
) -> dict[int, float]:
    """Of each version: how likely it is the best, within the bounds."""
    draws = np.stack(
        [
            chance.beta(1 + reward.right, 1 + reward.wrong, _DRAWS)
            for reward in (rewards.get(version, Reward()) for version in bandit.versions)
        ]
    )
    best = np.bincount(draws.argmax(axis=0), minlength=len(bandit.versions)) / _DRAWS
    bounded = bounded_shares(best.tolist(), bandit.min_share, bandit.max_share)
    return dict(zip(bandit.versions, bounded, strict=True))


def bounded_shares(shares: Sequence[float], least: float, most: float) -> list[float]:
    """The shares moved up or down together, by as much as makes them sum to 1 within the bounds."""
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(min(most, max(least, share + middle)) for share in shares) < 1:
            low = middle
        else:
            high = middle
    return [min(most, max(least, share + high)) for share in shares]


class BanditController:
    """One model's bandit. Call `tick` as often as you like: it moves once an interval."""

    def __init__(
        self,
        model: str,
        bandit: Bandit,
        routes: RouteKeeper,
        source: ArmSource,
        *,
        state_folder: Path | None,
        monotonic: Callable[[], float],
        seed: int,
        on_problem: Callable[[str], None],
    ) -> None:
        """Errors: ArtifactCorrupt and Unsupported for counts that cannot be read; OSError."""
        self._model = model
        self._bandit = bandit
        self._routes = routes
        self._source = source
        self._monotonic = monotonic
        self._chance = np.random.default_rng(seed)
        self._on_problem = on_problem
        self._path = None if state_folder is None else state_folder / FOLDER / f"{model}.state"
        self._looks: dict[int, ArmCounters] = {}
        self._moved_at = monotonic()
        self.rewards: dict[int, Reward] = {}
        if self._path is not None:
            found = read_state(self._path, _Kept)
            for problem in found.skipped:
                on_problem(problem)
            self.rewards = found.value.rewards if found.value else {}

    async def tick(self) -> None:
        """Counts labels; once an interval, sets the route. A race is the next interval's."""
        self._count()
        if self._monotonic() - self._moved_at < self._bandit.interval_seconds:
            return
        self._moved_at = self._monotonic()
        await self._keep()
        shares = shares_of(self._bandit, self.rewards, self._chance)
        now = self._routes.weights(self._model)
        versions = now.shares.keys() | shares.keys()
        if all(
            abs(now.shares.get(each, 0.0) - shares.get(each, 0.0)) < _LEAST_CHANGE
            for each in versions
        ):
            return
        try:
            await self._routes.set_weights(
                self._model,
                shares,
                expected_generation=now.generation,
                actor=ACTOR,
                reason=self._reason(),
            )
        except StaleRouteTable:
            return
        except FastserveError as error:
            self._on_problem(f"the route of model {self._model!r} stays: {error.message}")

    def _count(self) -> None:
        for version in self._bandit.versions:
            look = self._source.counters(self._model, version)
            before = self._looks.pop(version, None)
            if look is None:
                continue
            self._looks[version] = look
            if before is None:
                continue
            new, old = look.since(before), self.rewards.get(version, Reward())
            self.rewards[version] = Reward(
                old.right + new.right_labels, old.wrong + new.wrong_labels
            )

    def _reason(self) -> str:
        known = (
            f"{version}: {reward.right} right, {reward.wrong} wrong"
            for version, reward in sorted(self.rewards.items())
        )
        return "; ".join(known) or "no label yet"

    async def _keep(self) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(write_state, self._path, _Kept(dict(self.rewards)))
        except (OSError, FastserveError) as error:
            self._on_problem(f"counts of model {self._model!r} cannot be written: {error}")
