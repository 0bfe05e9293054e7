"""The core's tables of the routes that stand, and what tables counted that stand no more.

Thread: the event loop's, but for `prepare`.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from fastserve._core import core
from fastserve.routing.route import Route

# An io thread follows an old table until its next sweep, and counts there. So many of them are
# still looked at before their counts are added up for good: changes come far slower than sweeps.
_WATCHED: Final = 8


class RouteTables:
    """One table for each model, made again when its route or its stand-in changes."""

    def __init__(self, writers: int) -> None:
        """`writers`: the engine's."""
        self._writers = writers
        self._made: dict[str, tuple[Route, int, core.RouteTable]] = {}
        self._prepared: tuple[Route, int, core.RouteTable] | None = None
        self._retired: dict[str, deque[core.RouteTable]] = {}
        self._ended: dict[str, Counter[str]] = {}

    def prepare(self, route: Route, stand_in: int) -> None:
        """Makes the table that `get` will be asked for. Thread: any, one at a time."""
        table = route.table(fallback=stand_in, writers=self._writers)
        self._prepared = (route, stand_in, table)

    def get(self, route: Route, stand_in: int) -> core.RouteTable:
        made = self._made.get(route.model)
        if made is not None and made[:2] == (route, stand_in):
            return made[2]
        if self._prepared is not None and self._prepared[:2] == (route, stand_in):
            table = self._prepared[2]
        else:
            table = route.table(fallback=stand_in, writers=self._writers)
        if made is not None:
            self._retire(route.model, made[2])
        self._made[route.model] = (route, stand_in, table)
        return table

    def counts(self, model: str) -> Mapping[str, int]:
        """Requests by reason, over all tables of the model."""
        total = Counter(self._ended.get(model, {}))
        for table in self._retired.get(model, ()):
            total.update(table.counts)
        made = self._made.get(model)
        if made is not None:
            total.update(made[2].counts)
        return total

    def _retire(self, model: str, table: core.RouteTable) -> None:
        retired = self._retired.setdefault(model, deque())
        retired.append(table)
        if len(retired) > _WATCHED:
            self._ended.setdefault(model, Counter()).update(retired.popleft().counts)
