"""Becomes `bentoml serve` for service.py beside this file.

python server.py MODEL.onnx PORT FOLDER
"""

import os
import sys
from pathlib import Path


def main(path: str, port: str, folder: str) -> None:
    """Never returns."""
    os.environ |= {"PEER_MODEL": path, "BENTOML_HOME": folder, "BENTOML_DO_NOT_TRACK": "true"}
    program = str(Path(sys.executable).with_name("bentoml"))
    where = ["--host", "127.0.0.1", "--port", port, "--working-dir", str(Path(__file__).parent)]
    os.execv(program, [program, "serve", "service:Onnx", *where])  # noqa: S606  no shell on purpose


if __name__ == "__main__":
    main(*sys.argv[1:])
