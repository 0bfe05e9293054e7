"""Load, reload, unload, label: what may be done with a model's versions, one way in for all.

Availability first: what answers is taken away only by something that answers, or on an operator's
word. A load that fails leaves everything as it was. Going back to a version that is still loaded
waits for nothing, not even for a load of the same model: that one ends beside it, and does not
serve.

Thread: the event loop's.
"""

import asyncio
import re
from collections.abc import Collection
from typing import Final

from fastserve.errors import (
    FastserveError,
    InvalidConfig,
    LastReadyVersion,
    ModelNotFound,
    RoutedVersion,
    VersionFailed,
    VersionNotFound,
    VersionNotReady,
    quoted,
)
from fastserve.models.attempt import Attempts, LoadOptions
from fastserve.models.catalog import Catalog
from fastserve.models.load_pool import LoadPool
from fastserve.models.loader import LoadJob
from fastserve.models.model_settings import ModelSettings
from fastserve.models.operator_choices import OperatorChoices
from fastserve.models.policy import Wanted
from fastserve.models.record import ModelRecord, VersionRecord
from fastserve.models.repository import FoundModel, Repository
from fastserve.models.state import State
from fastserve.models.traffic import Traffic
from fastserve.models.words import ALL, Words

# Begins with no digit: a label never looks like a version's number.
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
_DEFAULTS: Final = LoadOptions()
# Of a version that answered before: what clients need of it has not changed.
_AS_BEFORE: Final = LoadOptions(allow_signature_change=True)


class Lifecycle:
    """The operations. Callers record who asked and why."""

    def __init__(
        self,
        catalog: Catalog,
        repository: Repository,
        *,
        pool: LoadPool,
        attempts: Attempts,
        traffic: Traffic,
        choices: OperatorChoices,
    ) -> None:
        self._catalog = catalog
        self._repository = repository
        self._pool = pool
        self._attempts = attempts
        self._traffic = traffic
        self._choices = choices
        self._locks: dict[str, asyncio.Lock] = {}
        self._words = Words()

    async def load(
        self, name: str, version: str = "", options: LoadOptions = _DEFAULTS
    ) -> VersionRecord:
        """Makes `version` (a number, a label, or "" for what the policy says) loaded and serving.

        Returns the record of what serves now, or of the version that stands by. One that is loaded
        serves at once. Errors: ModelNotFound, VersionNotFound, VersionFailed and others with the
        reason; then callers see no change. VersionFailed also when a later word held: the version
        was unloaded meanwhile, or another one was made to serve.
        """
        word = self._words.speak(name)
        hot = self._hot(name, version)
        if hot is not None:
            model, record = hot
            if record.loaded is not None and not options.is_standby:
                self._attempts.check_signature(model, record.loaded, options)
            model.is_unloaded = False
            if options.is_standby or self._words.take_effect(name, word):
                self._take_up(model, record, options)
            return record
        async with self.lock(name):
            model, settings = await self._look(name, options)
            self._offer(model, word)
            if not version:
                model.pinned = 0
                wanted = self._traffic.wanted(model)
                self._require(model, wanted)
                await self._bring_up_all(model, settings, wanted.versions, options, word)
                record = self._serve_wanted(model, wanted, word)
                if model.serving != record.number:
                    raise self._overtaken(model, record)
                return record
            number = self._catalog.record(model, version).number
            record = await self._bring_up(model, self.job(model, number, settings), options, word)
            if not options.is_standby and not self._words.take_effect(name, word):
                raise self._overtaken(model, record)
            self._take_up(model, record, options)
            return record

    async def reload(self, name: str, options: LoadOptions = _DEFAULTS) -> list[VersionRecord]:
        """Reads the model's configuration and files again, and loads what changed; returns that.

        Errors: as `load`.
        """
        word = self._words.speak(name)
        async with self.lock(name):
            model, settings = await self._look(name, options)
            self._offer(model, word)
            wanted = self._traffic.wanted(model)
            self._require(model, wanted)
            on_disk = [record.number for record in model.versions.values() if record.path]
            ready = [each.number for each in model.ready if each.number in on_disk]
            numbers = sorted({*wanted.versions, wanted.serving, *ready})
            before = {number: self._content(model, number) for number in numbers}
            await self._bring_up_all(model, settings, numbers, options, word)
            self._serve_wanted(model, wanted, word)
            return [
                model.versions[number]
                for number in numbers
                if self._content(model, number) != before[number]
            ]

    async def load_files(self, job: LoadJob, options: LoadOptions = _DEFAULTS) -> VersionRecord:
        """Loads a version whose files came with the call, and makes it what serves."""
        word = self._words.speak(job.model)
        async with self.lock(job.model):
            model = self._catalog.add(job.model)
            self._configure(model, job.settings)
            self._offer(model, word)
            record = await self._bring_up(model, job, options, word)
            if not self._words.take_effect(job.model, word):
                raise self._overtaken(model, record)
            self._take_up(model, record, options)
            return record

    async def follow(
        self, found: FoundModel, settled: Collection[int], changed: Collection[int]
    ) -> bool:
        """Brings the model in line with its folder. True when what serves has changed.

        `settled`: versions whose files are complete; `changed`: those of them to be read (again).
        When nothing serves and the wanted version fails, the newest one that loads does. Errors: as
        `load`.
        """
        name = found.name
        word = self._words.last(name)
        async with self.lock(name):
            model = self._catalog.add(name)
            before = (model.serving, self._content(model, model.serving))
            self._enter(model, found)
            settings = await self._pool.run(self._repository.read_settings, found)
            self._configure(model, settings)
            if model.is_unloaded:
                return False
            wanted = self._traffic.wanted(model, among=settled)
            self._require(model, wanted)
            todo = [
                number
                for number in {*wanted.versions, wanted.serving}
                if number in changed or self._was_left(model.versions[number])
            ]
            try:
                await self._bring_up_all(model, settings, sorted(todo), _DEFAULTS, word)
            except FastserveError:
                if model.serving_version is None:
                    older = [n for n in settled if n < wanted.serving]
                    await self._fall_back(model, settings, older, word)
                raise
            if model.versions[wanted.serving].is_ready:
                self._serve_wanted(model, wanted, word)
            return before != (model.serving, self._content(model, model.serving))

    async def load_again(self, name: str, number: int) -> None:
        """Loads a version on demand; what serves and what operators chose stays.

        Nothing happens when it is loaded, or no longer on demand. Errors: as `load`.
        """
        word = self._words.last(name)
        async with self.lock(name):
            record = self._catalog.record(self._catalog.model(name), str(number))
            if record.is_ready or not record.is_on_demand:
                return
            model, settings = await self._look(name, _AS_BEFORE)
            job = self.job(model, number, settings)
            await self._bring_up(model, job, _AS_BEFORE, word)

    def unload(
        self, name: str, version: str = "", *, is_forced: bool = False
    ) -> list[VersionRecord]:
        """Takes versions out of traffic ("": all) and returns them; they drain by themselves.

        One that is being loaded is among them: it will not answer, and its load ends as soon as it
        can. Errors: ModelNotFound, VersionNotFound; when it is not forced, LastReadyVersion for the
        last one that answers, RoutedVersion for one that the model's route names.
        """
        model = self._catalog.model(name)
        word = self._words.speak(name)
        if version:
            gone = [self._catalog.record(model, version)]
            others = [each for each in model.ready if each.number != gone[0].number]
            if gone[0].is_ready and not others and not is_forced:
                raise LastReadyVersion(
                    f"version {gone[0].number} is the last one of model {quoted(name)} that "
                    "answers: load another one first, or force it"
                )
            if gone[0].number in self._catalog.routes.named(name) and not is_forced:
                raise RoutedVersion(
                    f"version {gone[0].number} is named by the route of model {quoted(name)}: give "
                    f"it another route first (fastserve route set {name} ...), or force it, and "
                    "the route's fallback or the version that serves answers for it"
                )
            # Says nothing about what serves: a load of another version goes on to serve.
            self._words.withdraw(name, gone[0].number, word)
        else:
            model.is_unloaded = True
            gone = list(model.versions.values())
            self._words.withdraw(name, ALL, word)
            self._words.take_effect(name, word)
        for record in gone:
            record.is_on_demand = False
            model.standby.discard(record.number)
            model.pinned = 0 if model.pinned == record.number else model.pinned
        leaving = [record for record in gone if record.is_ready]
        loading = [record for record in gone if record.state.is_underway]
        self._traffic.take_out(model, leaving, "unloaded on an operator's word")
        if not version:
            model.serving = 0
            self._catalog.publish(model)
        self._traffic.remember(model)
        return [*leaving, *loading]

    def set_label(self, name: str, label: str, number: int) -> int:
        """Points `label` at a version that answers; returns the number before, 0 for none.

        Errors: InvalidConfig for the label, VersionNotFound, VersionNotReady.
        """
        model = self._catalog.model(name)
        if not _LABEL.fullmatch(label):
            raise InvalidConfig(
                f"label {quoted(label)}: expected a letter or '_', then at most 63 letters, "
                "digits, '_', '.' or '-', for example stable"
            )
        record = self._catalog.record(model, str(number))
        if not record.is_ready and not record.is_on_demand:
            raise VersionNotReady(
                f"label {quoted(label)} cannot point at version {number} of model "
                f"{quoted(name)}, which is {record.state.value.lower()}: load it first "
                f"(fastserve model load {name} --version {number} --standby)"
            )
        before = model.labels.get(label, 0)
        self._traffic.point(model, {**model.labels, label: number})
        return before

    def remove_label(self, name: str, label: str) -> int:
        """Returns the number it pointed at. Errors: VersionNotFound when there is no such label."""
        model = self._catalog.model(name)
        if label not in model.labels:
            known = ", ".join(map(quoted, model.labels)) or "none"
            raise VersionNotFound(
                f"model {quoted(name)} has no label {quoted(label)}; it has {known}"
            )
        labels = dict(model.labels)
        before = labels.pop(label)
        self._traffic.point(model, labels)
        return before

    def forget_versions(self, name: str, numbers: Collection[int]) -> list[int]:
        """Versions whose folders are gone: dropped, or drained if others answer. Returns those."""
        model = self._catalog.model(name)
        gone = [record for record in model.versions.values() if record.number in numbers]
        routed = self._catalog.routes.named(name)
        # A route's versions stay until it names them no more.
        leaving = [record for record in gone if record.is_ready and record.number not in routed]
        if len(leaving) == len(model.ready):
            # Availability first: what serves stays until something else does.
            leaving = [record for record in leaving if record.number != model.serving]
        self._traffic.take_out(model, leaving, "its folder is gone")
        dropped = [
            record for record in gone if record.state in (State.NEW, State.UNLOADED, State.FAILED)
        ]
        for record in dropped:
            model.versions.pop(record.number, None)
        self._words.forget(name, [record.number for record in dropped])
        self._catalog.publish(model)
        return sorted(record.number for record in (*leaving, *dropped))

    def forget_model(self, name: str) -> None:
        """The model's folder is gone: everything drains; its name is unknown from now on."""
        model = self._catalog.model(name)
        self._words.take_effect(name, self._words.speak(name))
        leaving = [record for record in model.versions.values() if record.is_ready]
        self._traffic.take_out(model, leaving, "the model's folder is gone")
        self._catalog.drop(name)

    async def register(self, found: FoundModel) -> ModelRecord:
        """Enters a model of the repository and its versions, loading nothing."""
        model = self._catalog.add(found.name)
        self._enter(model, found)
        try:
            self._configure(model, await self._pool.run(self._repository.read_settings, found))
        except FastserveError as error:
            model.problem = error.message
        return model

    def lock(self, name: str) -> asyncio.Lock:
        """Held by whoever loads versions of the model."""
        return self._locks.setdefault(name, asyncio.Lock())

    def job(self, model: ModelRecord, number: int, settings: ModelSettings) -> LoadJob:
        """What the loader is to load for a version that the repository holds."""
        return LoadJob(
            model=model.name,
            number=number,
            settings=settings,
            folder=model.versions[number].path,
        )

    async def _fall_back(
        self, model: ModelRecord, settings: ModelSettings, numbers: Collection[int], word: int
    ) -> None:
        """Serves the newest of `numbers` that loads; what fails has its reason in its record."""
        for number in sorted(numbers, reverse=True):
            try:
                job = self.job(model, number, settings)
                record = await self._bring_up(model, job, _DEFAULTS, word)
            except FastserveError:
                continue
            if self._words.take_effect(model.name, word):
                self._traffic.serve(model, record)
            return

    def _hot(self, name: str, version: str) -> tuple[ModelRecord, VersionRecord] | None:
        """The named version, if it is loaded."""
        model = self._catalog.get(name)
        if model is None or not version:
            return None
        try:
            record = self._catalog.record(model, version)
        except VersionNotFound:
            return None
        return (model, record) if record.is_ready else None

    async def _look(self, name: str, options: LoadOptions) -> tuple[ModelRecord, ModelSettings]:
        """The model and its configuration as they lie on disk now. Errors: ModelNotFound."""
        found = await self._pool.run(self._repository.find, name)
        if found is None or found.problem:
            problem = "the repository has no model of that name" if found is None else found.problem
            raise ModelNotFound(f"failed to load {quoted(name)}: {problem}")
        model = self._catalog.add(name)
        self._enter(model, found)
        settings = options.settings
        if settings is None:
            settings = await self._pool.run(self._repository.read_settings, found)
        self._configure(model, settings)
        return model, settings

    def _enter(self, model: ModelRecord, found: FoundModel) -> None:
        model.problem = found.problem
        for version in found.versions:
            known = model.versions.get(version.number)
            if known is not None and known.path is None:
                known.path = version.path
            elif known is None:
                model.put(VersionRecord(model=model.name, number=version.number, path=version.path))

    def _configure(self, model: ModelRecord, settings: ModelSettings) -> None:
        model.config = settings.config
        model.ignored = settings.ignored
        model.problem = ""
        self._choices.recall(model)
        self._catalog.routes.configure(model.name, settings.config.routing)

    def _require(self, model: ModelRecord, wanted: Wanted) -> None:
        if not wanted.serving:
            self._catalog.publish(model)
            raise VersionNotFound(
                f"failed to load {quoted(model.name)}: of its versions "
                f"({', '.join(map(str, model.versions)) or 'none'}) the policy loads none"
            )

    async def _bring_up(
        self, model: ModelRecord, job: LoadJob, options: LoadOptions, word: int
    ) -> VersionRecord:
        """As Attempts.bring_up, for who asked by `word`."""
        return await self._attempts.bring_up(
            model,
            job,
            options,
            is_wanted=lambda: not self._words.is_withdrawn(job.model, job.number, word),
        )

    async def _bring_up_all(
        self,
        model: ModelRecord,
        settings: ModelSettings,
        numbers: Collection[int],
        options: LoadOptions,
        word: int,
    ) -> None:
        """All of them. One that fails keeps no other from being loaded. Errors: the first one's."""
        results = await asyncio.gather(
            *(
                self._bring_up(model, self.job(model, number, settings), options, word)
                for number in numbers
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _serve_wanted(self, model: ModelRecord, wanted: Wanted, word: int) -> VersionRecord:
        record = model.versions[wanted.serving]
        if not record.is_ready:
            raise VersionFailed(f"version {record.number}: {record.reason}")
        if self._words.take_effect(model.name, word):
            self._traffic.serve(model, record)
        return record

    @staticmethod
    def _was_left(record: VersionRecord) -> bool:
        """The policy took it out of traffic before, and asks for it again."""
        return record.state is State.UNLOADED and not record.is_on_demand

    @staticmethod
    def _content(model: ModelRecord, number: int) -> str:
        """Of what answers under that number; empty when nothing does."""
        record = model.versions.get(number)
        return record.loaded.content if record is not None and record.loaded is not None else ""

    def _offer(self, model: ModelRecord, word: int) -> None:
        """The model is to answer again. Errors: VersionFailed when it was unloaded since `word`."""
        if self._words.is_withdrawn(model.name, ALL, word):
            raise VersionFailed(
                f"model {quoted(model.name)} was unloaded on an operator's word after this load "
                "was asked for"
            )
        model.is_unloaded = False

    @staticmethod
    def _overtaken(model: ModelRecord, record: VersionRecord) -> VersionFailed:
        """For a load that a later word overtook: to return would say that its version serves."""
        serving = f"version {model.serving} serves" if model.serving else "the model was unloaded"
        return VersionFailed(
            f"version {record.number} of model {quoted(model.name)} is loaded and does not serve: "
            f"on a later word {serving}"
        )

    def _take_up(self, model: ModelRecord, record: VersionRecord, options: LoadOptions) -> None:
        if options.is_standby:
            self._traffic.stand_by(model, record)
        else:
            self._traffic.choose(model, record)
