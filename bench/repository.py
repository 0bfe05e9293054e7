"""The bench's models, in a repository under build/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def bench_models() -> Path:
    """Returns their repository; builds them where they are not there (bench/models/build.py)."""
    repository = HERE.parent / "build" / "bench-models"
    # The last one that is built.
    if not (repository / "text" / "1" / "model.onnx").exists():
        build = HERE / "models" / "build.py"
        subprocess.run([sys.executable, str(build), str(repository)], check=True)
    return repository
