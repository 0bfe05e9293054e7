"""A server opens its capture for the models that ask for it, and for nobody else."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from fastserve.cli import main
from fastserve.client import CaptureClient, Client
from fastserve.errors import Unsupported


@pytest.fixture
def repository(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = tmp_path / "repository" / "neg" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())

    def configure(text):
        (folder.parent / "model.toml").write_text(f"[batching]\nmax_rows = 8\n{text}")
        return tmp_path / "repository"

    return configure


@pytest.fixture
def fastserve():
    """Runs the command line, which has to end well."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert ended.value.code == 0

    return run


def has_arrow(server):
    return "libarrow" in Path(f"/proc/{server.pid}/maps").read_text()


def test_server_captures_for_a_model_that_asks_for_it(repository, start_server):
    server = start_server(repository("[capture]\nshare = 0.5\ndrop = ['x[2]']\n"))
    folder = repository("").resolve() / ".fastserve" / "capture"
    with CaptureClient(server.grpc, timeout=30) as client:
        status = client.status()
    assert Path(status["folder"]).resolve() == folder
    assert (status["offered"], status["pending"], status["versions"]) == (0, 0, [])
    server.stop()
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("text", "environment"),
    [("", {}), ("[capture]\nshare = 1.0\n", {"FASTSERVE_CAPTURE__ENABLED": "false"})],
    ids=["no share", "switched off"],
)
def test_server_that_captures_nothing_loads_no_arrow(repository, start_server, text, environment):
    server = start_server(repository(text), env=environment)
    with (
        CaptureClient(server.grpc, timeout=30) as client,
        pytest.raises(Unsupported, match="the server captures nothing: set"),
    ):
        client.status()
    assert not has_arrow(server)
    assert not (repository("") / ".fastserve" / "capture").exists()


def test_misspelt_field_keeps_the_version_from_serving(repository, start_server):
    server = start_server(repository("[capture]\nshare = 1.0\ndrop = ['nmae']\n"))
    (failed,) = [line for line in server.logs if line.get("state") == "FAILED"]
    assert (
        "capture.drop: 'nmae' is no field of the model, expected one of 'x', 'y'"
        in failed["reason"]
    )


def test_server_without_arrow_serves_and_says_what_to_install(repository, tmp_path):
    """The package is taken away from the interpreter, as if it had never been installed."""
    program = (
        "import json, sys\n"
        "sys.modules['pyarrow'] = None\n"
        "from types import SimpleNamespace as Of\n"
        "from fastserve.capturing import Capturing\n"
        "from fastserve.config import Settings\n"
        "from fastserve.model_config import CaptureConfig, ModelConfig\n"
        "from fastserve.models.catalog import Catalog\n"
        "from fastserve.models.record import VersionRecord\n"
        "from fastserve.models.state import State\n"
        "from fastserve.observe.logs import configure_logs\n"
        "from pathlib import Path\n"
        "configure_logs(sys.stdout)\n"
        "catalog = Catalog(None)\n"
        "capturing = Capturing(Settings(repository=Path(sys.argv[1])), catalog)\n"
        "config = ModelConfig(capture=CaptureConfig(share=1.0))\n"
        "record = VersionRecord(model='neg', number=1, path=None, state=State.READY)\n"
        "record.loaded = Of(config=config, digest='', wire_inputs=(), wire_outputs=())\n"
        "capturing._follow(record, State.WARMING)\n"
        "assert capturing.capture is None\n"
        "capturing.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["event"] == "nothing is captured"
    assert line["fix"] == "run `pip install 'fastserve[capture]'`"


def test_requests_of_a_server_are_in_its_files_when_it_has_ended(
    repository, start_server, tmp_path, fastserve
):
    server = start_server(repository("[capture]\nshare = 1.0\ndrop = ['x[2]']\n"))
    with Client(server.grpc, timeout=30) as client:
        for number in range(20):
            x = np.full((2, 3), number, np.float32)
            client.infer("neg", {"x": x}, request_id=f"id-{number}")
    server.stop()
    out = tmp_path / "train.parquet"
    folder = repository("") / ".fastserve" / "capture"
    fastserve("capture", "export", "neg", "--out", out, "--folder", folder)
    rows = pq.ParquetFile(out).read().to_pylist()
    assert sorted({row["_id"] for row in rows}) == sorted(f"id-{n}" for n in range(20))
    for row in rows:
        number = float(row["_id"][3:])
        assert (row["x"], row["y"]) == ([number, number, None], [-number] * 3)
        assert (row["_version"], row["_row"] in {0, 1}) == (1, True)
    assert len(rows) == 40
