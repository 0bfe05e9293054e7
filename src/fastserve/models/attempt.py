"""One attempt to load a version: its states, and what becomes of it when it fails.

A version that answers is never touched by an attempt under the same number until the attempt is
ready; then it is replaced in one step.

Thread: the event loop's; the load itself runs in a thread.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from fastserve.errors import FastserveError, VersionFailed, quoted
from fastserve.models.catalog import Catalog
from fastserve.models.drain import Drain
from fastserve.models.load_pool import LoadPool
from fastserve.models.loader import LoadedVersion, LoadJob
from fastserve.models.model_settings import ModelSettings
from fastserve.models.record import ModelRecord, VersionRecord
from fastserve.models.repository import Repository
from fastserve.models.signature import describe_difference
from fastserve.models.state import MOVES, State

_WITHDRAWN: Final = "unloaded on an operator's word"
_WHAT: Final = {
    State.LOADING: "its session is built",
    State.WARMING: "first runs",
}


class VersionLoader(Protocol):
    """What loads a version; blocks, and raises FastserveError with the reason."""

    def load(
        self,
        job: LoadJob,
        on_state: Callable[[State], None],
        make_room: Callable[[int], None],
    ) -> LoadedVersion: ...


class Room(Protocol):
    """Who sees to it that there is memory for a version."""

    async def make(self, job: LoadJob, memory_bytes: int) -> None:
        """Returns when there is. Errors: VersionFailed when there cannot be."""

    def leave(self, job: LoadJob) -> None:
        """The load has ended, well or not."""


class LoadOptions(msgspec.Struct, frozen=True):
    """How a load is meant."""

    # Loaded, and answering those who name it; what serves stays.
    is_standby: bool = False
    allow_signature_change: bool = False
    # Instead of the configuration that lies beside the versions.
    settings: ModelSettings | None = None


class _Withdrawn(VersionFailed):
    """An operator unloaded the version while it was being loaded."""


class Attempts:
    """Makes attempts. Two for one model at once are the caller's to prevent."""

    def __init__(
        self,
        catalog: Catalog,
        repository: Repository,
        *,
        loader: VersionLoader,
        pool: LoadPool,
        drain: Drain,
        room: Room,
    ) -> None:
        self._catalog = catalog
        self._repository = repository
        self._loader = loader
        self._pool = pool
        self._drain = drain
        self._room = room

    async def bring_up(
        self,
        model: ModelRecord,
        job: LoadJob,
        options: LoadOptions,
        *,
        is_wanted: Callable[[], bool],
    ) -> VersionRecord:
        """The version, ready and published under its number.

        One that answers is read again; when files and configuration are the same it stays, with its
        statistics. `is_wanted` is asked on the way: a version that is not any more never answers.
        Errors: FastserveError with the reason; the record has it too.
        """
        record = model.versions.get(job.number)
        current = record.loaded if record is not None and record.is_ready else None
        attempt = VersionRecord(model=job.model, number=job.number, path=job.folder)
        if record is not None and State.CHECKING in MOVES[record.state]:
            attempt = record
            attempt.path = job.folder
        elif current is None:
            # There is none, or one that still drains and goes its own way.
            attempt.is_on_demand = record is not None and record.is_on_demand
            model.put(attempt)
        try:
            return await self._attempt(
                model, job, options, attempt, current=current, is_wanted=is_wanted
            )
        except Exception as error:
            reason = self._note_failure(model, attempt, error)
            if isinstance(error, FastserveError):
                raise
            # A bug, or something that nobody thought of: it fails this load and nothing else.
            raise VersionFailed(reason) from error
        except BaseException as error:
            self._note_failure(model, attempt, error)
            raise
        finally:
            self._room.leave(job)

    async def _attempt(
        self,
        model: ModelRecord,
        job: LoadJob,
        options: LoadOptions,
        attempt: VersionRecord,
        *,
        current: LoadedVersion | None,
        is_wanted: Callable[[], bool],
    ) -> VersionRecord:
        self._catalog.move(attempt, State.CHECKING, "its files are read and checked")
        self._catalog.publish(model)
        loop = asyncio.get_running_loop()
        if job.folder is not None:
            # Before the files are read: a change meanwhile is seen as one afterwards.
            seen = await self._pool.run(self._repository.fingerprint, job.folder)
            if attempt.fingerprint != seen:
                attempt.fingerprint, attempt.failures = seen, 0

        def on_state(state: State) -> None:
            loop.call_soon_threadsafe(self._catalog.move, attempt, state, _WHAT[state])

        async def find_room(memory_bytes: int) -> None:
            if not is_wanted():
                raise _withdrawn(job)
            await self._room.make(job, memory_bytes)

        def make_room(memory_bytes: int) -> None:
            asyncio.run_coroutine_threadsafe(find_room(memory_bytes), loop).result()

        run = self._pool.run_normal if job.has_own_threads else self._pool.run
        loaded = await run(self._loader.load, job, on_state, make_room)
        if not is_wanted():
            attempt.loaded = loaded
            self._drain.begin(attempt, _WITHDRAWN)
            raise _withdrawn(job)
        return self._take_place(model, options, attempt, loaded, current)

    def _take_place(
        self,
        model: ModelRecord,
        options: LoadOptions,
        attempt: VersionRecord,
        loaded: LoadedVersion,
        current: LoadedVersion | None,
    ) -> VersionRecord:
        """Publishes what was loaded, instead of `current` if that still answers."""
        replaced = model.versions.get(attempt.number)
        if replaced is None or current is None or replaced.loaded is not current:
            replaced = None
        elif current.content == loaded.content:
            replaced.fingerprint = attempt.fingerprint
            replaced.failures, replaced.reason = 0, ""
            return replaced
        if not options.is_standby:
            self.check_signature(model, loaded, options)
        attempt.loaded = loaded
        attempt.failures = 0
        attempt.is_on_demand = False
        self._catalog.move(attempt, State.READY)
        model.put(attempt)
        if replaced is not None:
            self._drain.begin(replaced, "replaced by other files of the same version")
        self._catalog.publish(model)
        return attempt

    def check_signature(
        self, model: ModelRecord, loaded: LoadedVersion, options: LoadOptions
    ) -> None:
        """Errors: VersionFailed when clients of what serves could not go on with `loaded`."""
        serving = model.serving_version
        if serving is None or serving.version is loaded.version:
            return
        if options.allow_signature_change or model.config.load.allow_signature_change:
            return
        difference = describe_difference(
            (serving.inputs, serving.outputs), (loaded.inputs, loaded.outputs)
        )
        if difference:
            raise VersionFailed(
                f"version {loaded.number} of model {quoted(model.name)} has another signature than "
                f"version {serving.number}, which serves: {difference}; "
                "say --allow-signature-change if every client is ready for it"
            )

    def _note_failure(
        self, model: ModelRecord, attempt: VersionRecord, error: BaseException
    ) -> str:
        if isinstance(error, FastserveError):
            reason = error.message
        elif isinstance(error, asyncio.CancelledError):
            reason = "the load was cancelled"
        else:
            reason = f"internal error: {type(error).__name__}: {error}"
        if isinstance(error, _Withdrawn) and attempt.state is State.CHECKING:
            self._catalog.move(attempt, State.UNLOADED, _WITHDRAWN)
        elif attempt.state.is_underway:
            attempt.add_failure()
            self._catalog.move(attempt, State.FAILED, reason)
        record = model.versions.get(attempt.number)
        if record is not None and record is not attempt and record.is_ready:
            # What answers says in its own record that it is not what lies on disk.
            if attempt.fingerprint not in {None, record.fingerprint}:
                record.fingerprint, record.failures = attempt.fingerprint, 0
            if attempt.failures:
                record.add_failure()
            record.reason = f"answers with the files that it was loaded from; {reason}"
        self._catalog.publish(model)
        return reason


def _withdrawn(job: LoadJob) -> _Withdrawn:
    return _Withdrawn(
        f"version {job.number} of model {quoted(job.model)} was {_WITHDRAWN} while it was loaded"
    )
