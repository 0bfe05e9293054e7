"""Shares by Thompson sampling: how likely each version is the best one, within bounds.

What is known of an arm is a Beta distribution over its rate of right answers, Beta(1 + right,
1 + wrong): nothing known is every rate alike. Many draws from all arms' distributions say how often
each is the best. An arm that is worse for sure loses its share; one of which little is known keeps
some, and so becomes known.

Source: Thompson, "On the likelihood that one unknown probability exceeds another in view of the
evidence of two samples" (Biometrika 25, 1933); Scott, "A modern Bayesian look at the multi-armed
bandit" (2010), for shares by the probability of being best.

Apart from the controller since it loads numpy. Thread: any.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from fastserve.route_spec import Bandit
from fastserve.routing.reward import Reward

# Draws of each arm: a share is right within a hundredth.
_DRAWS: Final = 10_000


def shares_of(
    bandit: Bandit, rewards: Mapping[int, Reward], seed: Sequence[int]
) -> dict[int, float]:
    """Of each version: how likely it is the best, within the bounds."""
    chance = np.random.default_rng(seed)
    draws = np.stack(
        [chance.beta(1 + each.right, 1 + each.wrong, _DRAWS) for each in rewards.values()]
    )
    best = np.bincount(draws.argmax(axis=0), minlength=len(rewards)) / _DRAWS
    bounded = bounded_shares(best.tolist(), bandit.min_share, bandit.max_share)
    return dict(zip(rewards, bounded, strict=True))


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
