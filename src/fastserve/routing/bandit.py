"""A champion and its challengers: traffic goes where answers turn out right, by itself.

Thompson sampling (routing/thompson.py), with the share of a version being the probability that it
is the best one. Shares are bounded from both sides, so that every version goes on being measured
and none takes all. The route changes once an interval at most, however fast labels come back, and
not at all when no share has moved by a hundredth. The shares that somebody declared stand until
every version has a label: before that nothing is known that they did not know.

What was counted is durable, at each interval and at the end: a version that is loaded again, and a
server that is started again, begin at nothing and the counts here do not.

Rejected: UCB (its shares are all or nothing at each moment, while many requests are answered before
one label comes); drawing an arm for each request in the core (a route that is a table can be
explained, and replayed).

Thread: the event loop's; the disk and the draws are waited for in a thread.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from fastserve.errors import FastserveError, StaleRouteTable, quoted
from fastserve.route_spec import Bandit
from fastserve.routing.evidence import ArmCounters, ArmSource
from fastserve.routing.reward import Reward, RewardStore
from fastserve.routing.route import Route
from fastserve.routing.route_keeper import RouteKeeper

ACTOR: Final = "bandit"
_LEAST_CHANGE: Final = 0.01


class BanditStatus(msgspec.Struct, frozen=True):
    """Of one bandit now. `awaited`: before shares can move, a line for people each."""

    rewards: Mapping[int, Reward]
    awaited: tuple[str, ...]


class BanditController:
    """One model's bandit, as one route declared it.

    Call `tick` as often as you like: it moves once an interval.
    """

    def __init__(
        self,
        route: Route,
        rewards: Mapping[int, Reward],
        *,
        routes: RouteKeeper,
        source: ArmSource,
        store: RewardStore,
        monotonic: Callable[[], float],
        seed: int,
        on_problem: Callable[[str], None],
    ) -> None:
        """`rewards`: what was counted before; of versions that are none of the route's, left."""
        self._model = route.model
        self._bandit = route.bandit or Bandit()
        self._routes = routes
        self._source = source
        self._store = store
        self._monotonic = monotonic
        self._seed = seed
        self._on_problem = on_problem
        self._looks: dict[int, ArmCounters] = {}
        self._moved_at = monotonic()
        self.rewards = {e.version: rewards.get(e.version, Reward()) for e in route.entries}
        # Of the route that it moves. Another one is somebody's, and another bandit's or none's.
        self.generation = route.generation

    @property
    def status(self) -> BanditStatus:
        left, awaited = self._seconds_left, []
        unknown = [str(version) for version, each in self.rewards.items() if not each.labels]
        if unknown:
            awaited.append(
                f"a label of version {', '.join(unknown)} (the declared shares stand until each "
                "version has one)"
            )
        if left > 0:
            awaited.append(f"{left:.0f} more seconds of {self._bandit.interval_seconds:g}")
        return BanditStatus(dict(self.rewards), tuple(awaited))

    def count(self) -> None:
        """Takes the labels that are new."""
        for version, old in self.rewards.items():
            look = self._source.counters(self._model, version)
            before = self._looks.pop(version, None)
            if look is None:
                continue
            self._looks[version] = look
            if before is not None:
                new = look.since(before)
                self.rewards[version] = Reward(
                    old.right + new.right_labels, old.wrong + new.wrong_labels
                )

    async def tick(self) -> None:
        """Counts labels; once an interval, sets the route. A route of another generation stays."""
        self.count()
        if self._seconds_left > 0:
            return
        self._moved_at = self._monotonic()
        await self.keep()
        now = self._routes.weights(self._model)
        if now.generation != self.generation or not all(r.labels for r in self.rewards.values()):
            return
        shares = await asyncio.to_thread(self._shares, dict(self.rewards))
        if all(abs(now.shares[each] - share) < _LEAST_CHANGE for each, share in shares.items()):
            return
        try:
            now = await self._routes.set_weights(
                self._model,
                shares,
                expected_generation=self.generation,
                actor=ACTOR,
                reason=self._reason(),
            )
        except StaleRouteTable:
            return
        except FastserveError as error:
            self._on_problem(f"the route of model {quoted(self._model)} stays: {error.message}")
        else:
            self.generation = now.generation

    async def keep(self) -> None:
        """What was counted is on the disk when this returns, or a problem was reported."""
        try:
            await asyncio.to_thread(self._store.write, self._model, dict(self.rewards))
        except (OSError, FastserveError) as error:
            self._on_problem(f"labels of model {quoted(self._model)} cannot be kept: {error}")

    @property
    def _seconds_left(self) -> float:
        return self._moved_at + self._bandit.interval_seconds - self._monotonic()

    def _shares(self, rewards: Mapping[int, Reward]) -> dict[int, float]:
        from fastserve.routing.thompson import shares_of  # noqa: PLC0415 - loads numpy

        return shares_of(self._bandit, rewards, (self._seed, self.generation))

    def _reason(self) -> str:
        return "; ".join(
            f"{version}: {reward.right} right, {reward.wrong} wrong"
            for version, reward in sorted(self.rewards.items())
        )
