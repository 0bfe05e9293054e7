"""A state file for each model, in a folder of their own: `<folder>/<model>.state`.

Names of models are names of folders of the repository, and so names of files.

Thread: any, one call for a model at a time; every function waits for the disk.
"""

from pathlib import Path
from typing import Final, Generic, TypeVar

from fastserve.durable.replacement import sync_folder
from fastserve.durable.state_file import State, read_state, write_state

_SUFFIX: Final = ".state"

T = TypeVar("T")


class ModelStates(Generic[T]):
    """Each one a `kind`. Without a folder nothing is kept, and nothing is there."""

    def __init__(self, folder: Path | None, kind: type[T]) -> None:
        self._folder = folder
        self._kind = kind

    def models(self) -> list[str]:
        """Those that something is kept of, in order. Errors: OSError."""
        if self._folder is None or not self._folder.exists():
            return []
        # A crash between two renames leaves the generation before alone.
        names = {path.name.removesuffix(".1") for path in self._folder.iterdir()}
        return sorted(
            name.removesuffix(_SUFFIX)
            for name in names
            if name.endswith(_SUFFIX) and not name.startswith(".")
        )

    def read(self, model: str) -> State[T]:
        """As fastserve.durable.state_file.read_state. Errors: likewise."""
        if self._folder is None:
            return State()
        return read_state(self._folder / f"{model}{_SUFFIX}", self._kind)

    def write(self, model: str, value: T) -> None:
        """Durable when it returns. Errors: OSError, Unsupported; the old one is kept then."""
        if self._folder is None:
            return
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
        write_state(self._folder / f"{model}{_SUFFIX}", value)

    def remove(self, model: str) -> None:
        """Nothing is found when it returns. Errors: OSError."""
        if self._folder is None or not self._folder.exists():
            return
        # The newer last: a crash in between must not bring an older one back.
        for name in (f"{model}{_SUFFIX}.1", f"{model}{_SUFFIX}"):
            (self._folder / name).unlink(missing_ok=True)
        sync_folder(self._folder)
