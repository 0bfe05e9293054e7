"""Operations that meet one another: the later word about a model holds, and a load that returned
has taken effect. In this process, with real models; loads are held up where they ask for room."""

import asyncio

import numpy as np
import pytest

from fastserve._core import core
from fastserve.config import LimitSettings
from fastserve.errors import VersionFailed
from fastserve.models.attempt import Attempts, LoadOptions
from fastserve.models.catalog import Catalog
from fastserve.models.checked_cache import CheckedCache
from fastserve.models.checker import CheckLimits
from fastserve.models.drain import Drain
from fastserve.models.lifecycle import Lifecycle
from fastserve.models.load_pool import LoadPool
from fastserve.models.loader import Loader, find_runtime_library, open_library
from fastserve.models.operator_choices import OperatorChoices
from fastserve.models.repository import Repository
from fastserve.models.state import State
from fastserve.models.traffic import Traffic
from tests.lifecycle.conftest import constant_model, put


class Gate:
    """Room for every version; one that is held waits for it until it is let in."""

    def __init__(self):
        self.arrived = {}
        self._open = {}

    def hold(self, number):
        self.arrived[number] = asyncio.Event()
        self._open[number] = asyncio.Event()

    def let_in(self, number):
        self._open[number].set()

    async def make(self, job, _memory_bytes):
        if job.number in self._open:
            self.arrived[job.number].set()
            await self._open[job.number].wait()

    def leave(self, job):
        pass


class Models:
    """The lifecycle of one repository over a real engine."""

    def __init__(self, root):
        self.engine = core.Engine(
            executors=1,
            max_ports=1,
            max_queue_rows=1024,
            max_queue_bytes=1 << 20,
            max_total_queue_bytes=1 << 20,
            inline_budget_ns=0,
        )
        self.gate = Gate()
        self.catalog = Catalog(self.engine)
        self.pool = LoadPool(4)
        self.drain = Drain(self.catalog, self.engine)
        choices = OperatorChoices(None, print)
        repository = Repository(root)
        loader = Loader(
            self.engine,
            open_library(find_runtime_library()),
            root=root,
            limits=LimitSettings(),
            checker=None,
            check_limits=CheckLimits(),
            checked=CheckedCache(),
        )
        traffic = Traffic(self.catalog, self.drain, choices)
        attempts = Attempts(
            self.catalog,
            repository,
            loader=loader,
            pool=self.pool,
            drain=self.drain,
            room=self.gate,
        )
        self.lifecycle = Lifecycle(
            self.catalog,
            repository,
            pool=self.pool,
            attempts=attempts,
            traffic=traffic,
            choices=choices,
        )

    def answer(self, version=""):
        """What a request that starts now is answered."""
        loaded = self.catalog.find("m", version)
        ((_, _, data),) = loaded.version.run([((1, 2), bytes(8))])
        return int(np.frombuffer(data, np.float32)[0])

    def state(self, number):
        return self.catalog.model("m").versions[number].state

    async def start(self, number):
        """A load of the version that is under way, and held."""
        self.gate.hold(number)
        task = asyncio.create_task(self.lifecycle.load("m", str(number)))
        await self.gate.arrived[number].wait()
        return task

    async def close(self):
        await self.drain.close()
        self.pool.close()
        self.engine.close()


@pytest.fixture
async def models(repository):
    for number in (2, 3):
        put(repository, "m", number, constant_model(number))
    opened = Models(repository)
    await opened.lifecycle.load("m", "1")
    yield opened
    await opened.close()


async def test_unload_of_the_version_that_loads_holds_against_the_load(models):
    loading = await models.start(2)
    assert [record.number for record in models.lifecycle.unload("m", "2")] == [2]
    models.gate.let_in(2)
    with pytest.raises(VersionFailed, match="version 2 of model 'm' was unloaded on an operator's"):
        await loading
    record = models.catalog.model("m").versions[2]
    await models.drain.wait(record)
    assert record.state is State.UNLOADED
    assert record.loaded is None
    assert models.answer() == 1


async def test_unload_of_a_version_whose_load_waits_for_another_ones_holds(models):
    loading = await models.start(2)
    waiting = asyncio.create_task(models.lifecycle.load("m", "3"))
    await asyncio.sleep(0)
    models.lifecycle.unload("m", "3")
    models.gate.let_in(2)
    await loading
    with pytest.raises(VersionFailed, match=r"version 3 .* was unloaded"):
        await waiting
    assert models.state(3) is State.UNLOADED
    assert models.answer() == 2


async def test_unload_of_the_model_holds_against_loads_that_run_and_that_wait(models):
    loading = await models.start(2)
    waiting = asyncio.create_task(models.lifecycle.load("m", "3"))
    await asyncio.sleep(0)
    models.lifecycle.unload("m")
    models.gate.let_in(2)
    for task in (loading, waiting):
        with pytest.raises(VersionFailed, match="was unloaded on an operator's word"):
            await task
    assert models.catalog.model("m").is_unloaded
    assert models.catalog.ready_versions == []


async def test_load_after_the_unload_of_the_same_version_makes_it_serve(models):
    loading = await models.start(2)
    models.lifecycle.unload("m", "2")
    again = asyncio.create_task(models.lifecycle.load("m", "2"))
    await asyncio.sleep(0)
    models.gate.let_in(2)
    with pytest.raises(VersionFailed):
        await loading
    await again
    assert models.answer() == 2


async def test_load_serves_when_it_returns_though_another_version_was_unloaded_meanwhile(models):
    loading = await models.start(2)
    models.lifecycle.unload("m", "1", is_forced=True)
    models.gate.let_in(2)
    await loading
    assert models.answer() == 2


async def test_each_of_two_loads_of_one_version_serves_when_it_returns(models):
    answers = []

    async def load():
        await models.lifecycle.load("m", "2")
        answers.append(models.answer())

    first = await models.start(2)
    first.add_done_callback(lambda _: answers.append(models.answer()))
    second = asyncio.create_task(load())
    await asyncio.sleep(0)
    models.gate.let_in(2)
    await asyncio.gather(first, second)
    assert answers == [2, 2]


async def test_load_that_a_later_word_overtook_does_not_return_as_if_it_served(models):
    await models.lifecycle.load("m", "3", LoadOptions(is_standby=True))
    loading = await models.start(2)
    await models.lifecycle.load("m", "3")
    models.gate.let_in(2)
    with pytest.raises(VersionFailed, match=r"version 2 .* on a later word version 3"):
        await loading
    assert (models.answer(), models.answer("2")) == (3, 2)


async def test_second_load_of_a_version_waits_for_a_later_word_to_be_its_own(models):
    first = await models.start(2)
    await models.lifecycle.load("m", "1")
    second = asyncio.create_task(models.lifecycle.load("m", "2"))
    await asyncio.sleep(0)
    models.gate.let_in(2)
    with pytest.raises(VersionFailed, match="on a later word version 1 serves"):
        await first
    await second
    assert models.answer() == 2
