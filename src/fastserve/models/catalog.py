"""What the repository holds and what of it can answer: the state of every model and version.

The catalog is the control plane's truth; the engine gets a snapshot of it at every change. Versions
are loaded in threads, so a slow model delays neither the others nor the event loop.

Thread: the event loop's, but for the loads themselves.
"""

import asyncio
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import msgspec

from fastserve._core import core
from fastserve.errors import (
    FastserveError,
    InvalidTensor,
    ModelNotFound,
    VersionNotFound,
    VersionNotReady,
    quoted,
)
from fastserve.models.loader import LoadedVersion
from fastserve.models.repository import FoundModel, FoundVersion, Scan

_MAX_NUMBER: Final = (1 << 63) - 1


class State(enum.Enum):
    """Of one version. Legal moves: UNLOADED -> LOADING -> READY or FAILED."""

    UNLOADED = "UNLOADED"
    LOADING = "LOADING"
    READY = "READY"
    FAILED = "FAILED"

    @property
    def wire(self) -> str:
        """As RepositoryIndex names it."""
        return "UNAVAILABLE" if self in (State.UNLOADED, State.FAILED) else self.value


_MOVES: Final[dict[State, tuple[State, ...]]] = {
    State.UNLOADED: (State.LOADING,),
    State.LOADING: (State.READY, State.FAILED),
    State.READY: (),
    State.FAILED: (),
}


class VersionRecord(msgspec.Struct):
    """One version's state; `reason` says why it is not ready, `loaded` is there when it is."""

    model: str
    number: int
    path: Path
    state: State = State.UNLOADED
    reason: str = ""
    loaded: LoadedVersion | None = None

    def move(self, state: State, reason: str = "", loaded: LoadedVersion | None = None) -> None:
        if state not in _MOVES[self.state]:
            raise AssertionError(f"{self.model}/{self.number}: {self.state} -> {state}")
        self.state, self.reason, self.loaded = state, reason, loaded


class ModelRecord(msgspec.Struct):
    """A model's versions by number, ascending. `problem` says why it has none."""

    name: str
    versions: dict[int, VersionRecord]
    problem: str = ""

    @property
    def ready(self) -> list[LoadedVersion]:
        return [record.loaded for record in self.versions.values() if record.loaded is not None]


class VersionLoader(Protocol):
    """What loads a version; blocks, and raises FastserveError with the reason."""

    def load(self, model: FoundModel, found: FoundVersion) -> LoadedVersion: ...


class Publisher(Protocol):
    """Who is told what can answer: the engine."""

    def publish(
        self,
        model: str,
        ready: Sequence[core.Version],
        serving: int,
        unavailable: Sequence[tuple[int, str, bool]],
        labels: Mapping[str, int],
    ) -> None: ...


class Catalog:
    """All models of one repository. Made from a scan; `load_newest` brings it to life."""

    def __init__(self, scan: Scan, publisher: Publisher) -> None:
        self._publisher = publisher
        self._found = {model.name: model for model in scan.models}
        self._models = {
            model.name: ModelRecord(
                name=model.name,
                versions={
                    version.number: VersionRecord(
                        model.name,
                        version.number,
                        version.path,
                        reason="not loaded: only the newest version is",
                    )
                    for version in model.versions
                },
                problem=model.problem,
            )
            for model in scan.models
        }
        self._listeners: list[Callable[[], None]] = []
        self._is_settled = False

    @property
    def models(self) -> Iterable[ModelRecord]:
        """By name."""
        return self._models.values()

    @property
    def ready_versions(self) -> list[LoadedVersion]:
        return [loaded for model in self._models.values() for loaded in model.ready]

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` on the loop after each change; returns what takes it off again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def unready(self) -> list[str]:
        """Names what should answer and does not, with the reason; empty when all is well."""
        found: list[str] = []
        for model in self._models.values():
            if model.problem:
                found.append(f"{model.name}: {model.problem}")
            found += [
                f"{model.name}/{record.number}: {record.reason or record.state.value.lower()}"
                for record in model.versions.values()
                if record.state in (State.LOADING, State.FAILED)
            ]
        if not self._is_settled and not found:
            found.append("the repository is being read")
        return found

    def find(self, name: str, version: str) -> LoadedVersion:
        """The ready version that answers for `name` and `version` ("" is the newest ready one).

        Errors: as the data plane says them (csrc/fastserve/engine/model_set.h).
        """
        model = self.model(name)
        if not version:
            if not model.ready:
                raise ModelNotFound(
                    f"Request for unknown model: {quoted(name)} has no available versions"
                )
            return model.ready[-1]
        record = self.record(model, version)
        if record.loaded is None:
            raise VersionNotReady(
                f"Request for unknown model: {quoted(name)} version {record.number} is not at "
                f"ready state ({record.state.value.lower()})"
            )
        return record.loaded

    def model(self, name: str) -> ModelRecord:
        found = self._models.get(name)
        if found is None:
            raise ModelNotFound(f"Request for unknown model: {quoted(name)} is not found")
        return found

    def record(self, model: ModelRecord, version: str) -> VersionRecord:
        number = parse_version(version)
        record = model.versions.get(number)
        if record is None:
            raise VersionNotFound(
                f"Request for unknown model: {quoted(model.name)} version {number} is not found"
            )
        return record

    async def load_newest(
        self, loader: VersionLoader, threads: int, on_loaded: Callable[[VersionRecord], None]
    ) -> None:
        """Loads the newest version of each model, `threads` at once, and publishes each.

        `on_loaded` is called on the loop for every version, ready or failed. Raises nothing for a
        model that fails: its reason is in its record.
        """
        todo = [
            (model, model.newest, self._models[model.name].versions[model.newest.number])
            for model in self._found.values()
            if model.newest is not None
        ]
        for _, _, record in todo:
            record.move(State.LOADING, "loading")
        self._changed()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(threads, thread_name_prefix="load") as pool:

            async def load(model: FoundModel, found: FoundVersion, record: VersionRecord) -> None:
                try:
                    loaded = await loop.run_in_executor(pool, loader.load, model, found)
                except FastserveError as error:
                    record.move(State.FAILED, error.message)
                except Exception as error:  # noqa: BLE001 - a loader's bug must not stop the others
                    record.move(State.FAILED, f"internal error: {type(error).__name__}: {error}")
                else:
                    record.move(State.READY, loaded=loaded)
                self._changed()
                on_loaded(record)

            await asyncio.gather(*(load(*item) for item in todo))
        self._is_settled = True
        self._changed()

    def _changed(self) -> None:
        for model in self._models.values():
            self._publisher.publish(
                model.name,
                [loaded.version for loaded in model.ready],
                model.ready[-1].number if model.ready else 0,
                [
                    (record.number, record.state.value.lower(), False)
                    for record in model.versions.values()
                    if record.loaded is None
                ],
                {},
            )
        for listener in tuple(self._listeners):
            listener()


def parse_version(text: str) -> int:
    """A version's number. Errors: InvalidTensor, in the data plane's words."""
    # Zeros in front are taken, as the data plane takes them; what does not fit 64 bits is not.
    if text.isascii() and text.isdigit() and 0 < int(text[-1000:]) <= _MAX_NUMBER:
        return int(text[-1000:])
    raise InvalidTensor(
        f"failed to get model version from specified version string {quoted(text)}: expected a "
        "positive integer, or an empty string for the version that serves"
    )
