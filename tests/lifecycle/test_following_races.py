"""Somebody writes while a server follows the folder: what answers is whole, and from inside.

FASTSERVE_SOAK=1 runs 10,000 rounds of writing instead of 60.
"""

import os
import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastserve.models.manifest import describe_files, encode_manifest
from tests.exchange import exchange
from tests.lifecycle.conftest import request as message

SECRET = -1
SETTLE_SECONDS = 0.05
TABLE = 5000


def contents(value, *, has_manifest):
    """y[rows, 2]: `value` as the ONNX file has it, and as the file of its weights has it."""
    here = numpy_helper.from_array(np.array([value], np.float32), "here")
    there = numpy_helper.from_array(np.full(TABLE, value, np.float32), "there")
    data = there.raw_data
    there.ClearField("raw_data")
    there.data_location = TensorProto.EXTERNAL
    there.external_data.add(key="location", value="weights.bin")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=1),
            helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
            helper.make_node("Cast", ["nothing"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["there", "place"], ["looked_up"]),
            helper.make_node("Add", ["nothing", "here"], ["known"]),
            helper.make_node("Concat", ["known", "looked_up"], ["y"], axis=1),
        ],
        "both",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
            numpy_helper.from_array(np.array([0], np.float32), "zero"),
            here,
            there,
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    files = {"model.onnx": model.SerializeToString(), "weights.bin": data}
    if has_manifest:
        files["MANIFEST.json"] = encode_manifest(describe_files(files))
    return files


def put(folder, files):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


class Writer:
    """Writes version 1 of the model `m`, in every way that is not a publication in one step too."""

    def __init__(self, root, source, *, has_manifest):
        self.value = 1
        self.root = root
        self._has_manifest = has_manifest
        self._random = source
        self._folder = root / "m" / "1"
        self._other = root / "m" / ".other"
        outside = root.parent / "outside"
        put(self._folder, self._files(self.value))
        put(self._other, self._files(self.value))
        put(outside, self._files(SECRET))
        self._link = root / "m" / ".link"
        self._link.symlink_to(outside)
        self._names = sorted(self._files(SECRET))
        for name in self._names:
            self._link.with_name(f".{name}").symlink_to(outside / name)
        self._ways = [self.exchange_folders, self.link_folder, self.link_file]
        if has_manifest:  # without, a copy that pauses half-way is a version like another
            self._ways += [self.write_in_place, self.truncate, self.exchange_files]

    def _files(self, value):
        return contents(value, has_manifest=self._has_manifest)

    def _next(self):
        self.value += 1
        return self._files(self.value)

    def _pause(self):
        """Mostly none; sometimes long enough for the folder to be read."""
        time.sleep(self._random.choice([0, 0, 0.002, 0.01, SETTLE_SECONDS, 3 * SETTLE_SECONDS]))

    def step(self):
        self._random.choice(self._ways)()
        self._pause()

    def exchange_folders(self):
        for name, data in self._next().items():
            (self._other / name).write_bytes(data)
        exchange(self._folder, self._other)

    def link_folder(self):
        exchange(self._folder, self._link)
        self._pause()
        exchange(self._folder, self._link)

    def link_file(self):
        name = self._random.choice(self._names)
        link = self._link.with_name(f".{name}")
        exchange(self._folder / name, link)
        self._pause()
        exchange(self._folder / name, link)

    def write_in_place(self):
        files = self._next()
        for name in self._random.sample(self._names, len(files)):
            with (self._folder / name).open("wb") as file:
                for start in range(0, len(files[name]), 4096):
                    file.write(files[name][start : start + 4096])
                    file.flush()
            self._pause()

    def truncate(self):
        name = self._random.choice(["model.onnx", "weights.bin"])
        data = (self._folder / name).read_bytes()
        os.truncate(self._folder / name, len(data) // 2)
        self._pause()
        (self._folder / name).write_bytes(data)

    def exchange_files(self):
        files = self._next()
        for name, data in files.items():
            (self._other / name).write_bytes(data)
        for name in files:
            exchange(self._folder / name, self._other / name)
            self._pause()


@pytest.fixture(params=[True, False], ids=["manifest", "no manifest"])
def writer(request, tmp_path, source):
    return Writer(tmp_path / "repository", source, has_manifest=request.param)


def test_what_answers_is_whole_and_from_inside(start_server, operator_of, writer, soak):
    server = start_server(writer.root, "--watch", "--settle-seconds", SETTLE_SECONDS)
    operator = operator_of(server)

    def answer():
        response = operator.inference.ModelInfer(message(), timeout=30)
        here, there = np.frombuffer(response.raw_output_contents[0], np.float32).tolist()
        assert here == there
        assert 1 <= here <= writer.value
        return here

    seen = {answer()}
    for _ in range(10_000 if soak else 60):
        writer.step()
        # A folder that is gone takes nothing down, and no answer is an error.
        seen.add(answer())
    assert server.process.poll() is None

    writer.exchange_folders()
    operator.wait_until(lambda: answer() == writer.value)
    assert len(seen) > 1
