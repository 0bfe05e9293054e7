"""What the metrics page is given of a shadow: over an engine that serves, in this process."""

import asyncio
import select

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastserve._core import core
from fastserve.client import InferRequest
from fastserve.models.loader import find_runtime_library
from fastserve.routing.shadow import Shadows, ShadowSpec
from fastserve.routing.shadow_figures import ShadowFigures

SETTLED_SECONDS = 60


def scaled(factor):
    """y is x times `factor`."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "k"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(np.array([factor], np.float32), "k")],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opset).SerializeToString()


class Loaded:
    """A version by its number, as the catalog gives it."""

    def __init__(self, number, version):
        self.number = number
        self.version = version


class Numbered(dict):
    """Versions by number; 1 serves."""

    def find(self, _name, version):
        return self[int(version or 1)]


@pytest.fixture
def served():
    """(engine, versions, ask): version 2 answers twice what version 1 does."""
    engine = core.Engine(
        executors=1, max_ports=2, max_queue_rows=100, max_queue_bytes=1 << 20,
        max_total_queue_bytes=1 << 20, inline_budget_ns=0,
    )  # fmt: skip
    library = core.Library(str(find_runtime_library()))
    versions = Numbered()
    for number in (1, 2):
        version = engine.make_version(
            core.Session(library, scaled(number), {}, f"m/{number}"), model="m", number=number,
            is_batching=True, has_rows_axis=True, max_rows=8, has_fixed_rows=False, max_delay_ns=0,
            weight=1, max_queue_rows=0, max_queue_bytes=0, allow_inline=True,
        )  # fmt: skip
        version.watch()
        versions[number] = Loaded(number, version)
    engine.publish("m", [versions[1].version], 1, [], {})
    port = core.RawPort(engine)

    def ask(values):
        inputs = {"x": np.array(values, np.float32).reshape(-1, 1)}
        port.submit(7, InferRequest(model="m", inputs=inputs).serialize(), -1)
        while not (answers := port.take()):
            select.select([port.event_fd], [], [], 30)
        assert [(token, code) for token, code, *_ in answers] == [(7, 0)]

    yield engine, versions, ask
    port.close()
    engine.close()


def test_figures_are_the_counters_the_ratio_and_the_maximum_of_each_shadow(served):
    engine, versions, ask = served
    shadows = Shadows(engine, versions)
    figures = ShadowFigures(shadows)

    async def run():
        shadow = await shadows.start(ShadowSpec(model="m", candidate=2))
        before = figures.stamp
        ask([0, 1, 4])
        assert shadow._handle.wait(SETTLED_SECONDS)
        assert figures.stamp != before
        families = {family.name: family for family in figures.families()}
        await shadows.close()
        return families

    families = asyncio.run(run())
    labels = {"model": "m", "candidate": "2"}
    assert families["fastserve_shadow_rows_total"].samples == [
        (labels | {"outcome": "compared"}, 3),
        (labels | {"outcome": "dropped"}, 0),
        (labels | {"outcome": "failed"}, 0),
    ]
    assert families["fastserve_shadow_mismatch_ratio"].samples == [(labels, 2 / 3)]
    assert families["fastserve_shadow_max_abs_difference"].samples == [(labels, 4)]
