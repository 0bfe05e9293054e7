"""What labels said of a bandit's versions, and where that is kept."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from fastserve.durable.model_states import ModelStates

FOLDER: Final = "bandits"


class Reward(msgspec.Struct, frozen=True):
    """Of one version, from labels that came back."""

    right: int = 0
    wrong: int = 0

    @property
    def labels(self) -> int:
        return self.right + self.wrong


class _Kept(msgspec.Struct, frozen=True):
    rewards: dict[int, Reward]


class RewardStore:
    """`bandits/<model>.state` in the state folder. Without one, counts last as the process does.

    Thread: any, one call for a model at a time; every function waits for the disk.
    """

    def __init__(self, state_folder: Path | None, on_problem: Callable[[str], None]) -> None:
        folder = None if state_folder is None else state_folder / FOLDER
        self._states = ModelStates(folder, _Kept)
        self._on_problem = on_problem

    def models(self) -> set[str]:
        """Those that something is kept of. Errors: OSError."""
        return set(self._states.models())

    def read(self, model: str) -> Mapping[int, Reward]:
        """Empty where nothing is kept. Errors: ArtifactCorrupt, Unsupported, OSError."""
        found = self._states.read(model)
        for problem in found.skipped:
            self._on_problem(problem)
        return found.value.rewards if found.value else {}

    def write(self, model: str, rewards: Mapping[int, Reward]) -> None:
        """Durable when it returns. Errors: OSError, Unsupported; the old counts are kept then."""
        self._states.write(model, _Kept(dict(rewards)))

    def remove(self, model: str) -> None:
        """Nothing is kept of it when it returns. Errors: OSError."""
        self._states.remove(model)
