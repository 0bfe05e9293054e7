"""Writes MLServer's two settings files into a folder and becomes `mlserver start`.

    python server.py MODEL.onnx PORT FOLDER

No debugging and no access log, inference in the server's own process (`parallel_workers` 0: a pool
of processes has nothing to win on one core); adaptive batching, but for rows of several lengths.
"""

import json
import os
import sys
from pathlib import Path

from onnx_model import MAX_DELAY_SECONDS, MAX_ROWS, OnnxModel, free_port

MESSAGE_BYTES = 64 * 1024 * 1024


def main(path: str, port: str, folder: str) -> None:
    """Never returns."""
    name = Path(path).parents[1].name
    # Its batches are of whatever waits: requests of two lengths fail in one.
    is_mixed = any(isinstance(side, str) for side in OnnxModel(path).input.shape[1:])
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "grpc_port": int(port),
        "http_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "grpc_max_message_length": MESSAGE_BYTES,
    }
    model = {
        "name": name,
        "implementation": "runtime.OnnxRuntime",
        "max_batch_size": 0 if is_mixed else MAX_ROWS,
        "max_batch_time": MAX_DELAY_SECONDS,
        "parameters": {"uri": path},
    }
    (Path(folder) / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (Path(folder) / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = f"{here}:{os.environ['PYTHONPATH']}"
    os.chdir(folder)
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", folder])  # noqa: S606  no shell on purpose


if __name__ == "__main__":
    main(*sys.argv[1:])
