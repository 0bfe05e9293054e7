"""Shadows that routes declare: they start, change and end with their route.

What is wanted is read anew from all routes at each change of a route or of what is served, so a
shadow comes back after a restart, and with a candidate that is loaded again. A person's word goes
before a route's: a shadow that was started by hand stays, and one that was stopped by hand is not
started again, until the route says something else.

Thread: the event loop's.
"""

import asyncio
from collections.abc import Callable, Mapping

from fastserve.errors import FastserveError, ModelNotFound, VersionNotFound, VersionNotReady
from fastserve.routing.route import Route
from fastserve.routing.shadow import RunningShadow, Shadows, ShadowSpec

# Of a candidate or a live version that is still to come: no problem, but a reason to wait.
_NOT_YET = (ModelNotFound, VersionNotFound, VersionNotReady)


class DeclaredShadows:
    """Call `follow` after each change of a route or of what is served."""

    def __init__(
        self,
        routes: Callable[[], Mapping[str, Route]],
        shadows: Shadows,
        on_problem: Callable[[str], None],
    ) -> None:
        self._routes = routes
        self._shadows = shadows
        self._on_problem = on_problem
        self._started: dict[str, RunningShadow] = {}
        self._problems: dict[str, str] = {}
        self._is_due = self._is_closed = False
        self._following: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """Returns at once; what is to be done is done soon."""
        self._is_due = True
        if self._following is None and not self._is_closed:
            self._following = asyncio.get_running_loop().create_task(
                self._follow(), name="follow the shadows of routes"
            )

    async def close(self) -> None:
        """Nothing is started afterwards. The shadows are their owner's to end."""
        self._is_closed = True
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                await self._look()
        finally:
            self._following = None

    async def _look(self) -> None:
        wanted = {
            model: spec for model, route in self._routes().items() if (spec := shadow_of(route))
        }
        for model in self._started.keys() - wanted.keys():
            shadow = self._started.pop(model)
            self._problems.pop(model, None)
            await shadow.end("the route no longer names it")
        for model, spec in wanted.items():
            await self._want(model, spec)

    async def _want(self, model: str, spec: ShadowSpec) -> None:
        standing = self._shadows.get(model)
        ours = self._started.get(model)
        if ours is not None and ours.spec == spec:
            if standing is not ours or ours.is_running or ours.is_dismissed:
                return
        elif standing is not None and standing is not ours and standing.is_running:
            return
        try:
            self._started[model] = await self._shadows.start(spec)
        except _NOT_YET:
            return
        except FastserveError as error:
            if self._problems.get(model) != error.message:
                self._problems[model] = error.message
                self._on_problem(f"the shadow in the route of model {model!r}: {error.message}")
        else:
            self._problems.pop(model, None)


def shadow_of(route: Route) -> ShadowSpec | None:
    """What the route declares: copies of what the version with the greatest weight answers."""
    if route.shadow is None:
        return None
    return ShadowSpec(
        model=route.model,
        candidate=route.shadow.version,
        version=route.main,
        share=route.shadow.share,
    )
