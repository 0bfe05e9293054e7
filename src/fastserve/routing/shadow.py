"""Shadows: candidates that run a share of what is served, compared row by row.

The core copies, runs and compares on processor time that serving leaves over (csrc/fastserve/
engine/shadow.h). Here is what is wanted of it, for which versions, and until when: a shadow ends
when its candidate leaves traffic, and moves on to the version that serves.

Thread: the event loop's.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from fastserve._core import core
from fastserve.errors import FastserveError, InvalidRoute, VersionFailed, VersionNotFound

DEFAULT_MAX_BYTES: Final = 64 << 20
MOST_BYTES: Final = 4 << 30


class ReadyVersion(Protocol):
    """A version that answers (fastserve.models.loader.LoadedVersion)."""

    @property
    def number(self) -> int: ...
    @property
    def version(self) -> core.Version: ...


class Versions(Protocol):
    """Where versions are looked up (fastserve.models.catalog.Catalog)."""

    def find(self, name: str, version: str) -> ReadyVersion: ...


class ShadowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. `version` 0 is the one that answers calls which name none."""

    model: str
    candidate: int
    version: int = 0
    share: float = 1.0
    max_bytes: int = DEFAULT_MAX_BYTES
    seed: int = 0
    absolute_tolerance: float = 1e-6
    relative_tolerance: float = 1e-3

    def check(self) -> None:
        """Errors: InvalidRoute."""
        if self.candidate < 1 or self.version < 0:
            raise InvalidRoute(
                f"shadow of {self.model!r}: candidate {self.candidate} and version {self.version}, "
                "expected the number of a version; version 0 is the one that serves"
            )
        if not 0 < self.share <= 1:
            raise InvalidRoute(
                f"shadow of {self.model!r}: share {self.share}, expected above 0 and at most 1"
            )
        if not 1 <= self.max_bytes <= MOST_BYTES:
            raise InvalidRoute(
                f"shadow of {self.model!r}: max_bytes {self.max_bytes}, expected 1 to {MOST_BYTES}"
            )


class ShadowEvidence(msgspec.Struct, frozen=True):
    """What a judge needs: rows that were compared, and how many of them differ."""

    compared: int
    differing: int
    dropped: int
    failed: int

    @property
    def mismatch_ratio(self) -> float | None:
        """None without a compared row: no data is no agreement."""
        return self.differing / self.compared if self.compared else None


class RunningShadow:
    """One shadow of a model; its report stays after its end."""

    def __init__(
        self, spec: ShadowSpec, handle: core.Shadow, live: ReadyVersion, candidate: ReadyVersion
    ) -> None:
        self.spec = spec
        self.live = live
        self.candidate = candidate
        self.ended = ""
        # Somebody said so, and not what is served.
        self.is_dismissed = False
        self._forgotten = (0, 0)
        self._handle = handle
        self._began = time.monotonic()
        self._seconds = 0.0

    @property
    def is_running(self) -> bool:
        return not self.ended

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began if self.is_running else self._seconds

    def report(self) -> core.ShadowReport:
        return self._handle.report()

    def evidence(self) -> ShadowEvidence:
        now = self.report()
        return ShadowEvidence(now.compared, now.differing, now.dropped, now.failed)

    @property
    def rows(self) -> tuple[int, int]:
        """Compared, and those of them that differ; since the start, whatever was reset."""
        now = self.report()
        compared, differing = self._forgotten
        return compared + now.compared, differing + now.differing

    def reset(self) -> None:
        self._forgotten = self.rows
        self._handle.reset()

    def move_to(self, live: ReadyVersion) -> None:
        """Takes its share of another version from now on. Errors: FastserveError."""
        self._handle.detach()
        _attach(self._handle, live)
        self.live = live

    async def end(self, reason: str) -> None:
        """Nothing of it runs afterwards. Does not wait on the event loop for the run under way."""
        if self.ended:
            return
        self._seconds = self.seconds
        self.ended = reason
        self._handle.detach()
        await asyncio.to_thread(self._handle.close)


class Shadows:
    """The shadows of one server, one for each model."""

    def __init__(self, engine: core.Engine, versions: Versions) -> None:
        self._engine = engine
        self._versions = versions
        self._shadows: dict[str, RunningShadow] = {}
        # Of each model's shadows before, as long as they had the same candidate.
        self._past: dict[str, tuple[int, int]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[RunningShadow]:
        return iter(tuple(self._shadows.values()))

    def get(self, model: str) -> RunningShadow | None:
        """The model's shadow, or the last that it had."""
        return self._shadows.get(model)

    def rows(self, model: str, candidate: int) -> tuple[int, int]:
        """Compared, and those of them that differ: of all shadows in a row of this candidate."""
        found = self._shadows.get(model)
        if found is None or found.spec.candidate != candidate:
            return 0, 0
        compared, differing = self._past.get(model, (0, 0))
        more_compared, more_differing = found.rows
        return compared + more_compared, differing + more_differing

    def find(self, model: str) -> RunningShadow:
        """As `get`. Errors: VersionNotFound."""
        found = self._shadows.get(model)
        if found is None:
            raise VersionNotFound(
                f"model {model!r} has no shadow; start one with `fastserve shadow start`"
            )
        return found

    async def start(self, spec: ShadowSpec) -> RunningShadow:
        """In place of the model's shadow before.

        Errors: InvalidRoute, ModelNotFound, VersionNotFound, VersionNotReady; VersionFailed with
        what differs between the signatures. Nothing is changed then.
        """
        spec.check()
        candidate = self._versions.find(spec.model, str(spec.candidate))
        live = self._live(spec)
        if live.number == candidate.number:
            raise InvalidRoute(
                f"shadow of {spec.model!r}: version {live.number} is the live one and the "
                "candidate; expected two versions"
            )
        try:
            handle = core.Shadow(
                self._engine,
                candidate.version,
                spec.share,
                spec.max_bytes,
                spec.seed,
                absolute_tolerance=spec.absolute_tolerance,
                relative_tolerance=spec.relative_tolerance,
            )
        except core.CoreError as error:
            raise InvalidRoute(f"shadow of {spec.model!r}: {error}") from None
        before = self._shadows.get(spec.model)
        try:
            _attach(handle, live)
        except FastserveError:
            handle.close()
            raise
        made = RunningShadow(spec, handle, live, candidate)
        self._past[spec.model] = self.rows(spec.model, spec.candidate)
        self._shadows[spec.model] = made
        if before is not None and before.is_running:
            await before.end("another shadow was started")
            # The end of the one before takes the version's tap off.
            if made.is_running:
                _attach(handle, made.live)
        return made

    async def stop(self, model: str, reason: str = "") -> RunningShadow:
        """Errors: VersionNotFound."""
        found = self.find(model)
        found.is_dismissed = True
        await found.end(reason or "stopped")
        return found

    def follow(self) -> None:
        """To be called after each change of what is served: goes along with it."""
        for shadow in self:
            if not shadow.is_running:
                continue
            try:
                candidate = self._versions.find(shadow.spec.model, str(shadow.spec.candidate))
                if candidate.version is not shadow.candidate.version:
                    self._end(shadow, "the candidate was loaded anew")
                    continue
                live = self._live(shadow.spec)
                if live.number == candidate.number:
                    self._end(shadow, "the candidate is the live version")
                elif live.version is not shadow.live.version:
                    shadow.move_to(live)
            except FastserveError as error:
                self._end(shadow, error.message)

    async def close(self) -> None:
        for shadow in self:
            await shadow.end("the server stops")
        await asyncio.gather(*self._ending)

    def _live(self, spec: ShadowSpec) -> ReadyVersion:
        return self._versions.find(spec.model, str(spec.version) if spec.version else "")

    def _end(self, shadow: RunningShadow, reason: str) -> None:
        task = asyncio.get_running_loop().create_task(shadow.end(reason))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _attach(handle: core.Shadow, live: ReadyVersion) -> None:
    try:
        handle.attach(live.version)
    except core.CoreError as error:
        raise VersionFailed(str(error)) from None
