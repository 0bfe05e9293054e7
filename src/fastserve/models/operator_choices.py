"""What operators chose that no file of the repository says: labels, and which version serves.

Kept in one file of the state folder, replaced at every change, so that a restart, or a kill at any
moment, comes up with the last one that was acknowledged. Without a state folder they last as long
as the process.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from fastserve.durable.state_file import read_state, write_state
from fastserve.models.record import ModelRecord

FILE: Final = "models.state"


class Choice(msgspec.Struct, frozen=True):
    """Of one model. Labels given at run time lie over those of its configuration."""

    pinned: int = 0
    newest_seen: int = 0
    labels: dict[str, int] = {}
    # Labels of the configuration that were taken off.
    removed_labels: tuple[str, ...] = ()


class OperatorChoices:
    """Reads them at the start; `remember` notes a change, `save` makes it durable.

    Thread: the event loop's; the disk is waited for in a thread.
    """

    def __init__(self, folder: Path | None, on_problem: Callable[[str], None]) -> None:
        """Errors: ArtifactCorrupt and Unsupported for a file that cannot be read."""
        self._path = None if folder is None else folder / FILE
        self._on_problem = on_problem
        self._choices: dict[str, Choice] = {}
        self._saved: dict[str, Choice] = {}
        self._recalled: set[str] = set()
        self._saving = asyncio.Lock()
        if self._path is not None:
            found = read_state(self._path, dict[str, Choice])
            for problem in found.skipped:
                on_problem(problem)
            self._choices = self._saved = found.value or {}

    def recall(self, model: ModelRecord) -> None:
        """Labels as configured and chosen; at the first look also what served."""
        choice = self._choices.get(model.name, Choice())
        configured = {
            label: number
            for label, number in model.config.labels.items()
            if label not in choice.removed_labels
        }
        model.labels = {**configured, **choice.labels}
        if model.name not in self._recalled:
            self._recalled.add(model.name)
            model.pinned, model.newest_seen = choice.pinned, choice.newest_seen

    def remember(self, model: ModelRecord) -> None:
        """Notes the model's choices as they are now."""
        configured = model.config.labels
        choice = Choice(
            pinned=model.pinned,
            newest_seen=model.newest_seen if model.pinned else 0,
            labels={
                label: number
                for label, number in model.labels.items()
                if configured.get(label) != number
            },
            removed_labels=tuple(label for label in configured if label not in model.labels),
        )
        if choice != self._choices.get(model.name, Choice()):
            self._choices = {**self._choices, model.name: choice}

    async def save(self) -> None:
        """What was noted is on the disk when this returns, or a problem was reported."""
        if self._path is None or self._choices is self._saved:
            return
        async with self._saving:
            choices = self._choices
            if choices is self._saved:
                return
            try:
                await asyncio.to_thread(write_state, self._path, choices)
            except OSError as error:
                self._on_problem(f"{FILE} cannot be written: {error.strerror or error}")
            else:
                self._saved = choices
