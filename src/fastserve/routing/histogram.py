"""Durations by bucket: shares beyond a duration, and quantiles, interpolated.

Within a bucket the logarithm of the share beyond falls evenly over the logarithm of the duration.
Durations fall off like that in their tails; spread evenly, the few of a bucket from 10 to 25 ms
would count as 16 ms on average where nearly all of them are at its lower end.

Both arms are read in the same way, so what the reading gets wrong it gets wrong in both.
"""

import math
from collections.abc import Sequence
from typing import Final

# Of durations beyond the last one that was seen, for the logarithm's sake.
_HALF: Final = 0.5


class DurationHistogram:
    """Counts by bucket, of any number of seconds put together."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: upper ends of the buckets in seconds, rising; one more holds the rest."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)

    def add(self, counts: Sequence[int]) -> None:
        if counts:
            self._counts = [old + new for old, new in zip(self._counts, counts, strict=True)]

    @property
    def count(self) -> int:
        return sum(self._counts)

    def bound(self, index: int) -> float:
        return self._bounds[index]

    def bound_near(self, share: float) -> int:
        """The bound beyond which most nearly this share lies, by their ratio. Not without any."""
        count = self.count
        beyond = self._beyond()
        return min(
            range(len(self._bounds)),
            key=lambda index: abs(math.log(max(beyond[index], _HALF) / count / share)),
        )

    def share_beyond(self, seconds: float) -> float:
        """NaN without a duration."""
        count = self.count
        if not count:
            return math.nan
        above, low = float(count), self._lowest
        for bound, beyond in zip(self._bounds, self._beyond(), strict=True):
            if seconds < bound:
                part = max(0.0, math.log(seconds / low) / math.log(bound / low))
                left: float = above * (max(beyond, _HALF) / above) ** part
                return left / count
            above, low = max(float(beyond), _HALF), bound
        return above / count

    def quantile_beyond(self, share: float) -> float:
        """The duration that this share exceeds, in seconds; the last bound for what is beyond it.

        NaN without a duration.
        """
        count = self.count
        if not count:
            return math.nan
        wanted = max(share * count, _HALF)
        above, low = float(count), self._lowest
        for bound, beyond in zip(self._bounds, self._beyond(), strict=True):
            below = max(float(beyond), _HALF)
            if wanted >= below:
                if above <= below or wanted >= above:
                    return low
                part = math.log(above / wanted) / math.log(above / below)
                found: float = low * (bound / low) ** part
                return found
            above, low = below, bound
        return self._bounds[-1]

    def _beyond(self) -> list[int]:
        """For each bound how many durations are longer."""
        left = self.count
        found = []
        for here in self._counts[:-1]:
            left -= here
            found.append(left)
        return found

    @property
    def _lowest(self) -> float:
        # The first bucket begins at nothing, which has no logarithm: at half of its end.
        return self._bounds[0] / 2


def beyond(counts: Sequence[int], index: int) -> int:
    """How many of one second's durations lie beyond the bound with this index."""
    return sum(counts[index + 1 :])
