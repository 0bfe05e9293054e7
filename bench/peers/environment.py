"""The virtual environment of one peer, made from its pinned requirements."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LAST_LINES = 6


class Unavailable(Exception):  # noqa: N818  a state of the peer, not a mistake of ours
    """The peer cannot run here; the message has its own words."""


def install(requirements: Path, folder: Path) -> Path:
    """Returns the environment's Python; installs when the requirements are others than last time.

    Errors: Unavailable with pip's last lines.
    """
    python = folder / "bin" / "python"
    installed = folder / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {requirements.parent.name} into {folder} ...", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    command = [str(python), "-m", "pip", "install", "-q", "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(last_lines(done.stdout + done.stderr))
    installed.write_text(wanted, encoding="utf-8")
    return python


def last_lines(text: str) -> str:
    """Returns the end of a log in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:]) or "no word"
