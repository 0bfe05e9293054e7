"""What this part needs of a loaded version, and of the engine behind it."""

from typing import Protocol

from fastserve._core import core
from fastserve.drift.signature import Signature, signature_of
from fastserve.model_config import ModelConfig


class WatchStats(Protocol):
    """Rows so far, since the version was made."""

    @property
    def rows_seen(self) -> int: ...
    @property
    def rows_sketched(self) -> int: ...
    @property
    def rows_skipped(self) -> int: ...
    @property
    def violations(self) -> list[int]:
        """Values that broke each rule of the contract that the version was given."""


class RowSource(Protocol):
    """The engine's version, which has been told what to watch. Thread: any."""

    def take_window(self) -> core.TableSketch | None:
        """What was seen since the last call; None when nothing was."""

    def watch_stats(self) -> WatchStats: ...


class Batching(Protocol):
    """How the version counts rows."""

    @property
    def has_rows_axis(self) -> bool: ...


class CheckedVersion(Protocol):
    """A version that can answer (fastserve.models.loader.LoadedVersion)."""

    @property
    def model(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def config(self) -> ModelConfig: ...
    @property
    def digest(self) -> str: ...
    @property
    def wire_inputs(self) -> tuple[core.TensorSpec, ...]: ...
    @property
    def wire_outputs(self) -> tuple[core.TensorSpec, ...]: ...
    @property
    def batching(self) -> Batching: ...
    @property
    def profile(self) -> bytes | None:
        """Of `reference.profile` in the version's folder."""


class WatchedVersion(CheckedVersion, Protocol):
    """One that the engine can watch."""

    @property
    def version(self) -> RowSource: ...


def signature_of_version(version: CheckedVersion) -> Signature:
    return signature_of(
        version.wire_inputs,
        version.wire_outputs,
        has_rows=version.batching.has_rows_axis,
    )
