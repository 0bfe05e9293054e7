"""What the repository holds and what of it can answer: the state of every model and version.

The catalog is the control plane's truth. Of a model that changed, the engine gets a new entry in
one step: a request that starts after `publish` returned never sees what was before.

Thread: the event loop's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from fastserve._core import core
from fastserve.errors import (
    InvalidTensor,
    ModelNotFound,
    VersionNotFound,
    VersionNotReady,
    quoted,
)
from fastserve.models.loader import LoadedVersion
from fastserve.models.record import ModelRecord, VersionRecord
from fastserve.models.route_source import NoRoutes, RouteSource
from fastserve.models.state import State

_MAX_NUMBER: Final = (1 << 63) - 1

# Told of a version's change: the record after it, and the state before.
TransitionListener = Callable[[VersionRecord, State], None]


class Publisher(Protocol):
    """Who is told what can answer: the engine."""

    def publish(
        self,
        model: str,
        ready: Sequence[core.Version],
        serving: int,
        unavailable: Sequence[tuple[int, str, bool]],
        labels: Mapping[str, int],
        *,
        route: core.RouteTable | None,
    ) -> None: ...
    def withdraw(self, model: str) -> None: ...


class Catalog:
    """All models by name."""

    def __init__(self, publisher: Publisher, routes: RouteSource | None = None) -> None:
        self._publisher = publisher
        self.routes = NoRoutes() if routes is None else routes
        self._models: dict[str, ModelRecord] = {}
        self._listeners: list[Callable[[], None]] = []
        self._transition_listeners: list[TransitionListener] = []
        # Until the first look at the repository is over, nothing can be said to be ready.
        self.is_settled = False

    @property
    def models(self) -> Iterable[ModelRecord]:
        return self._models.values()

    @property
    def ready_versions(self) -> list[LoadedVersion]:
        return [loaded for model in self._models.values() for loaded in model.ready]

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after each publish; returns what takes it off again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_transition(self, listener: TransitionListener) -> Callable[[], None]:
        """Calls `listener` for each change of a version's state; returns what takes it off."""
        self._transition_listeners.append(listener)
        return lambda: self._transition_listeners.remove(listener)

    def unready(self) -> list[str]:
        """Names what should answer and does not, with the reason; empty when all is well.

        A model that answers is ready, whatever becomes of its other versions: a load that is under
        way, or that failed, takes nobody out of traffic.
        """
        found = [problem for model in self._models.values() for problem in _obstacles(model)]
        if not self.is_settled and not found:
            found.append("the repository is being read")
        return found

    def add(self, name: str) -> ModelRecord:
        """The model's record, made if there is none."""
        return self._models.setdefault(name, ModelRecord(name=name))

    def drop(self, name: str) -> None:
        """Forgets a model that has left the repository."""
        if self._models.pop(name, None) is not None:
            self._publisher.withdraw(name)
            self._tell()

    def get(self, name: str) -> ModelRecord | None:
        return self._models.get(name)

    def model(self, name: str) -> ModelRecord:
        """Errors: ModelNotFound."""
        found = self._models.get(name)
        if found is None:
            raise ModelNotFound(f"Request for unknown model: {quoted(name)} is not found")
        return found

    def record(self, model: ModelRecord, version: str) -> VersionRecord:
        """The version of that number or label. Errors: VersionNotFound, InvalidTensor."""
        number = parse_version(version, model.labels)
        record = model.versions.get(number)
        if record is None:
            raise VersionNotFound(
                f"Request for unknown model: {quoted(model.name)} version {number} is not found"
            )
        return record

    def resolve(self, name: str, version: str) -> VersionRecord:
        """The record that stands for `name` and `version` ("" is what serves), ready or not.

        Errors: as the data plane says them (csrc/fastserve/engine/model_set.h).
        """
        model = self.model(name)
        if version:
            return self.record(model, version)
        shares = self.routes.shares(name)
        # A route's versions differ little in what is asked here: the one with most requests.
        routed = model.versions.get(max(shares, key=shares.__getitem__)) if shares else None
        for record in (routed, model.versions.get(model.serving)):
            if record is not None and (record.is_ready or record.is_on_demand):
                return record
        raise ModelNotFound(f"Request for unknown model: {quoted(name)} has no available versions")

    def find(self, name: str, version: str) -> LoadedVersion:
        """The ready version that answers for `name` and `version`. Errors: as `resolve`."""
        record = self.resolve(name, version)
        if record.loaded is None or not record.is_ready:
            raise VersionNotReady(
                f"Request for unknown model: {quoted(name)} version {record.number} is not at "
                f"ready state ({record.state.value.lower()})"
            )
        return record.loaded

    def move(self, record: VersionRecord, state: State, reason: str = "") -> None:
        """Changes a version's state and tells the listeners. Publishing is the caller's."""
        before = record.state
        record.move(state, reason)
        for listener in tuple(self._transition_listeners):
            listener(record, before)

    def publish(self, model: ModelRecord) -> None:
        """Makes the model's entry in the data plane what its record says.

        A record that the catalog has dropped meanwhile is nobody's model any more.
        """
        if self._models.get(model.name) is not model:
            return
        serving = model.versions.get(model.serving)
        can_serve = serving is not None and (serving.is_ready or serving.is_on_demand)
        self._publisher.publish(
            model.name,
            [loaded.version for loaded in model.ready],
            model.serving if can_serve else 0,
            [
                (record.number, record.state.value.lower(), record.is_on_demand)
                for record in model.versions.values()
                if not record.is_ready
            ],
            model.labels,
            route=self.routes.table(
                model.name, model.serving, [loaded.number for loaded in model.ready]
            ),
        )
        self._tell()

    def takes_traffic(self, model: ModelRecord, record: VersionRecord) -> bool:
        """Whether requests that name no version may get this one."""
        if not record.is_ready and not record.is_on_demand:
            return False
        shares = self.routes.shares(model.name)
        return shares.get(record.number, 0) > 0 if shares else record.number == model.serving

    def version_states(self, model: str) -> Mapping[int, str]:
        """State of each version in lower case. Errors: ModelNotFound."""
        found = self.model(model).versions
        return {number: record.state.value.lower() for number, record in found.items()}

    def serving(self, model: str) -> int:
        """The version that answers where there is no route; 0: none. Errors: ModelNotFound."""
        return self.model(model).serving

    def settle(self) -> None:
        """The first look at the repository is over."""
        self.is_settled = True
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


def _obstacles(model: ModelRecord) -> list[str]:
    if model.is_unloaded:
        return []
    serving = model.versions.get(model.serving)
    if serving is not None and (serving.is_ready or serving.is_on_demand):
        return []
    if model.problem:
        return [f"{model.name}: {model.problem}"]
    return [
        f"{model.name}/{record.number}: {record.reason or record.state.value.lower()}"
        for record in model.versions.values()
        if record.state.is_underway or record.state is State.FAILED
    ]


def parse_version(text: str, labels: Mapping[str, int]) -> int:
    """A version's number, given as that or by label. Errors: InvalidTensor, in the core's words."""
    # Zeros in front are taken, as the data plane takes them; what does not fit 64 bits is not.
    if text.isascii() and text.isdigit() and 0 < int(text[-1000:]) <= _MAX_NUMBER:
        return int(text[-1000:])
    if text in labels:
        return labels[text]
    known = f"a label ({', '.join(labels)}), " if labels else ""
    raise InvalidTensor(
        f"failed to get model version from specified version string {quoted(text)}: expected a "
        f"positive integer, {known}or an empty string for the version that serves"
    )
