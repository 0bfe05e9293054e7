"""A row of the table, and what is needed to measure one."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import payload
from children import SERVER_CORE

HERE = Path(__file__).resolve().parent


@dataclass
class Figure:
    """One row of the table."""

    name: str
    what: str
    values: list[float]
    goal: float | None = None
    at_least: bool = True  # the goal is a lower bound
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Returns the middle value."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Tells whether the goal is reached; None when there is none."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal


@dataclass(frozen=True)
class Setting:
    """What every figure needs."""

    repository: Path
    folder: Path
    repeats: int
    seconds: float

    def log(self, name: str) -> Path:
        """Returns where a child's output goes."""
        return self.folder / f"{name}.log"

    def only(self, *models: str) -> Path:
        """Returns a repository that holds these models and nothing else."""
        chosen = self.folder / "-".join(models)
        chosen.mkdir(exist_ok=True)
        for model in models:
            link = chosen / model
            if not link.exists():
                subprocess.run(["cp", "-r", str(self.repository / model), str(link)], check=True)
        return chosen

    def many(self, model: str, count: int) -> Path:
        """Returns a repository that holds this model under its name and count - 1 others."""
        chosen = self.folder / f"{count}-{model}"
        for number in range(count):
            name = model if number == 0 else f"{model}-{number}"
            if not (chosen / name).exists():
                shutil.copytree(self.repository / model, chosen / name)
        return chosen

    def versions(self, name: str, model: str, count: int) -> Path:
        """Returns a repository of its own in which versions 1 to `count` of this model serve."""
        chosen = self.folder / name
        folder = chosen / model
        for version in range(1, count + 1):
            shutil.copytree(self.repository / model / "1", folder / str(version))
        (folder / "model.toml").write_text("[versions]\nall = true\n")
        return chosen

    def state(self, name: str) -> tuple[str, str]:
        """Returns the options of a state folder of its own: servers do not share one."""
        return "--state-dir", str(self.folder / f"state-{name}")

    def body(self, model: str, rows: int = 1) -> Path:
        """Returns a file with the request's bytes."""
        return payload.write(
            self.folder / f"{model}-{rows}.body", model, (rows, *payload.SHAPES[model])
        )

    def partner(self, *arguments: object) -> float:
        """Runs bench/partners.py on the server's core and returns its number."""
        command = ["taskset", "-c", SERVER_CORE, sys.executable, str(HERE / "partners.py")]
        command += [str(argument) for argument in arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(done.stdout)

    def model(self, name: str) -> Path:
        """Returns the path of a model's file."""
        return self.repository / name / "1" / "model.onnx"
