"""Runs `fastserve bench` on the client's core, for what h2load cannot do.

That is Poisson arrivals, and more large bodies than one core of h2load can send.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import h2load
from children import CLIENT_CORE


def run(endpoint: str, model: str, *options: object) -> dict[str, Any]:
    """Returns the command's JSON document.

    Errors: h2load.Failed when any request failed, since a figure with failures means nothing.
    """
    command = ["taskset", "-c", CLIENT_CORE, sys.executable, "-m", "fastserve", "bench", model]
    command += ["--endpoint", endpoint, "--json", "--max-error-rate", "0", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    if done.returncode != 0:
        raise h2load.Failed(f"{done.stderr.strip()} {found.get('messages', '')}")
    return found
