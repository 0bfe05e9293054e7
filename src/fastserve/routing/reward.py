"""What labels said of a bandit's versions, and where that is kept."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from fastserve.durable.replacement import sync_folder
from fastserve.durable.state_file import read_state, write_state

FOLDER: Final = "bandits"
_SUFFIX: Final = ".state"


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

    Names of models are names of folders of the repository, and so names of files.

    Thread: any, one call for a model at a time; every function waits for the disk.
    """

    def __init__(self, state_folder: Path | None, on_problem: Callable[[str], None]) -> None:
        self._folder = None if state_folder is None else state_folder / FOLDER
        self._on_problem = on_problem

    def models(self) -> set[str]:
        """Those that something is kept of. Errors: OSError."""
        if self._folder is None or not self._folder.exists():
            return set()
        names = {path.name.removesuffix(".1") for path in self._folder.iterdir()}
        return {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}

    def read(self, model: str) -> Mapping[int, Reward]:
        """Empty where nothing is kept. Errors: ArtifactCorrupt, Unsupported, OSError."""
        if self._folder is None:
            return {}
        found = read_state(self._folder / f"{model}{_SUFFIX}", _Kept)
        for problem in found.skipped:
            self._on_problem(problem)
        return found.value.rewards if found.value else {}

    def write(self, model: str, rewards: Mapping[int, Reward]) -> None:
        """Durable when it returns. Errors: OSError, Unsupported; the old counts are kept then."""
        if self._folder is None:
            return
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
        write_state(self._folder / f"{model}{_SUFFIX}", _Kept(dict(rewards)))

    def remove(self, model: str) -> None:
        """Nothing is kept of it when it returns. Errors: OSError."""
        if self._folder is None or not self._folder.exists():
            return
        # The newer last: a crash in between must not bring an older one back.
        for name in (f"{model}{_SUFFIX}.1", f"{model}{_SUFFIX}"):
            (self._folder / name).unlink(missing_ok=True)
        sync_folder(self._folder)
