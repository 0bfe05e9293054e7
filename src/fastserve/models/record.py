"""What is known of a model and of each of its versions: state, reason, when, what was loaded.

Records are changed on the event loop alone; every change goes through `VersionRecord.move`.
"""

import time
from pathlib import Path

import msgspec

from fastserve.model_config import ModelConfig
from fastserve.models.fingerprint import Fingerprint
from fastserve.models.loader import LoadedVersion
from fastserve.models.state import MOVES, State


class VersionRecord(msgspec.Struct, kw_only=True):
    """One version: its state and since when (monotonic), the reason, what was loaded.

    Other files, or another configuration, under the same number are a record of their own until
    they are ready.
    """

    model: str
    number: int
    # None: its files came with the call that loaded it.
    path: Path | None
    state: State = State.NEW
    reason: str = "not loaded"
    since: float = msgspec.field(default_factory=time.monotonic)
    loaded: LoadedVersion | None = None
    # Of the folder when it was last read.
    fingerprint: Fingerprint | None = None
    # Loaded when a request asks for it.
    is_on_demand: bool = False
    # How often loading it failed since its files last changed, and when it last did (monotonic).
    failures: int = 0
    failed_at: float = 0.0

    def move(self, state: State, reason: str = "") -> None:
        """To `state`. Errors: AssertionError for an illegal move, which is a bug."""
        if state not in MOVES[self.state]:
            raise AssertionError(
                f"{self.model}/{self.number}: {self.state.name} -> {state.name} is no legal move"
            )
        self.state, self.reason, self.since = state, reason, time.monotonic()

    def add_failure(self) -> None:
        """Counts one more."""
        self.failures += 1
        self.failed_at = time.monotonic()

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY

    @property
    def state_seconds(self) -> float:
        return time.monotonic() - self.since


class ModelRecord(msgspec.Struct, kw_only=True):
    """A model: its versions by number, ascending, and which of them answers.

    `serving` is the number of the version that answers requests without a version, 0: none.
    """

    name: str
    versions: dict[int, VersionRecord] = {}
    serving: int = 0
    # Numbers that served before, the latest last; what `keep_previous` keeps is taken from its end.
    served: list[int] = []
    # Loaded beside the policy on an operator's word.
    standby: set[int] = set()
    # The version that an operator chose; it serves until a version newer than `newest_seen` comes.
    pinned: int = 0
    newest_seen: int = 0
    labels: dict[str, int] = {}
    config: ModelConfig = ModelConfig()
    # What the configuration asks for and the server does not do.
    ignored: tuple[str, ...] = ()
    # Why it has no version, or why its configuration is refused.
    problem: str = ""
    # On an operator's word nothing of it is loaded; the repository's changes do not matter.
    is_unloaded: bool = False

    @property
    def ready(self) -> list[LoadedVersion]:
        """Versions that answer, ascending."""
        return [
            record.loaded
            for record in self.versions.values()
            if record.is_ready and record.loaded is not None
        ]

    @property
    def serving_version(self) -> LoadedVersion | None:
        record = self.versions.get(self.serving)
        return record.loaded if record is not None and record.is_ready else None

    def labels_of(self, number: int) -> list[str]:
        return sorted(label for label, labelled in self.labels.items() if labelled == number)

    def put(self, record: VersionRecord) -> None:
        """Adds or replaces a version; numbers stay ascending."""
        self.versions[record.number] = record
        self.versions = dict(sorted(self.versions.items()))
