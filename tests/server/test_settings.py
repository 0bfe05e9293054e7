"""A real server from a file, the environment and flags at once."""

import json
import subprocess
import sys
import urllib.request

import grpc
import pytest

from fastserve._proto import fastserve_control_pb2 as control


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_file_environment_and_flags_come_together(start_server, tmp_path, transport):
    (tmp_path / "models").mkdir()
    file = tmp_path / "fastserve.toml"
    file.write_text(
        'repository = "models"\ndrain_seconds = 3\n'
        f'[listen]\ngrpc = ["127.0.0.1:1"]\ntransport = "{transport}"\n'
        '[limits]\nmax_queue_bytes = "8MiB"\nmax_queue_rows = 1\n'
    )
    server = start_server(None, "--config", file, env={"FASTSERVE_LIMITS__MAX_QUEUE_ROWS": "2"})
    (read,) = [record for record in server.logs if record["event"] == "settings read"]
    assert read["file"] == str(file)
    with grpc.insecure_channel(server.grpc) as channel:
        data = channel.unary_unary("/fastserve.v1.Control/ShowConfig")(b"", timeout=30)
    shown = {
        each.path: (json.loads(each.value), each.source)
        for each in control.ShowConfigResponse.FromString(data).settings
    }
    assert shown["repository"] == (str(tmp_path / "models"), f"{file}:1")
    assert shown["state_dir"] == (str(tmp_path / "models" / ".fastserve"), "default")
    assert shown["drain_seconds"] == (3.0, f"{file}:2")
    assert shown["listen.transport"] == (transport, f"{file}:5")
    assert shown["limits.max_queue_bytes"] == (8 << 20, f"{file}:7")
    assert shown["limits.max_queue_rows"] == (2, "environment FASTSERVE_LIMITS__MAX_QUEUE_ROWS")
    # The file's port could not have been bound.
    assert shown["listen.grpc"] == (["127.0.0.1:0"], "--grpc")
    with urllib.request.urlopen(f"http://{server.http}/healthz", timeout=30) as page:
        assert page.status == 200


def test_file_of_the_current_folder_is_read(tmp_path):
    (tmp_path / "fastserve.toml").write_text("[limits]\nmax_queue_row = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "fastserve", "serve", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "fastserve: fastserve.toml: limits.max_queue_row: no such key; "
        "did you mean 'max_queue_rows'?\n"
    )
