"""Rollouts that model.toml declares: each is started once, as soon as its versions are ready.

The one that was started last, or was refused, is kept: as long as the file says the same it is not
started again, by no restart and no reload.

A kill between the start and the note of it would have it refused after the restart, as one that
runs already; so the rollout's own record is asked first.

Thread: the event loop's; the disk is waited for in a thread.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from fastserve.durable.state_file import read_state, write_state
from fastserve.errors import FastserveError, ModelNotFound, quoted
from fastserve.rollout_spec import Rollout
from fastserve.routing.evidence import ArmSource
from fastserve.routing.rollout_controller import RolloutController
from fastserve.routing.router import MODEL_FILE_AUTHOR

FILE: Final = "declared_rollouts.state"
_REASON: Final = "[routing.rollout] of model.toml"
# ABORTED, INTERNAL, UNAVAILABLE: what was asked for was sound, and may go well in a second.
_AGAIN: Final = frozenset({10, 13, 14})

RefusalListener = Callable[[str, Rollout, FastserveError], None]


class DeclaredRollouts:
    """Of one server. Call `tick` once a second."""

    def __init__(
        self,
        declared: Callable[[], Mapping[str, Rollout]],
        controller: RolloutController,
        source: ArmSource,
        *,
        state_folder: Path | None,
        on_refusal: RefusalListener,
        on_problem: Callable[[str], None],
    ) -> None:
        """`declared`: by model, what its model.toml says.

        Errors: ArtifactCorrupt and Unsupported for a file that cannot be read; OSError.
        """
        self._declared = declared
        self._controller = controller
        self._source = source
        self._path = None if state_folder is None else state_folder / FILE
        self._on_refusal = on_refusal
        self._on_problem = on_problem
        # By model, what was started or refused.
        self._done: dict[str, Rollout] = {}
        # What stood in the way at the last look.
        self._problems: dict[str, str] = {}
        if self._path is not None:
            found = read_state(self._path, dict[str, Rollout])
            for problem in found.skipped:
                on_problem(problem)
            self._done = found.value or {}

    async def tick(self) -> None:
        """Starts what is new and ready."""
        for model, rollout in tuple(self._declared().items()):
            if rollout == self._done.get(model):
                continue
            problem = await self._start(model, rollout)
            if problem and self._problems.get(model) != problem:
                self._on_problem(f"{_REASON} of {quoted(model)}: {problem}")
            self._problems[model] = problem

    async def _start(self, model: str, rollout: Rollout) -> str:
        """What it waits for; empty when it was started, or refused."""
        for version in (rollout.baseline, rollout.candidate):
            if self._source.counters(model, version) is None:
                return f"waits for version {version} to be ready"
        try:
            if not self._was_started(model, rollout):
                await self._controller.start(
                    model, rollout, actor=MODEL_FILE_AUTHOR, reason=_REASON
                )
        except FastserveError as error:
            if error.code in _AGAIN:
                return f"{error.message}; tried again"
            self._on_refusal(model, rollout, error)
        self._done[model] = rollout
        await self._keep()
        return ""

    def _was_started(self, model: str, rollout: Rollout) -> bool:
        """Before the server was killed."""
        try:
            (status,) = self._controller.status(model)
        except ModelNotFound:
            return False
        record = status.record
        return record.rollout == rollout and any(
            change.before is None
            and (change.number, change.actor) == (record.number, MODEL_FILE_AUTHOR)
            for change in record.history
        )

    async def _keep(self) -> None:
        if self._path is None:
            return
        try:
            await asyncio.to_thread(write_state, self._path, dict(self._done))
        except (OSError, FastserveError) as error:
            self._on_problem(f"{FILE} cannot be written: {error}")
