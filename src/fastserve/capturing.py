"""Opens the capture when the first version asks for it, and tells it what is loaded.

A server whose models capture nothing loads no pyarrow and makes no folder. Part of the composition
root. Thread: the event loop's.
"""

import time
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

from fastserve._core import core
from fastserve.config import Settings
from fastserve.drift.feedback_label import Label
from fastserve.errors import FastserveError
from fastserve.metric_source import MetricFamily
from fastserve.models.catalog import Catalog
from fastserve.models.loader import LoadedVersion
from fastserve.models.record import VersionRecord
from fastserve.models.state import State
from fastserve.observe.logs import get_logger

if TYPE_CHECKING:
    from fastserve.observe.capture import Capture

_log = get_logger("capture")


class Capturing:
    """The capture of one server. `queue` is what the engine fills."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self.queue = core.CaptureQueue(settings.capture.max_queue_bytes)
        self._capture: Capture | None = None
        self._is_refused = not settings.capture.enabled
        # A number may be loaded anew before what it was is unloaded.
        self._registered: dict[tuple[str, int], VersionRecord] = {}
        catalog.on_transition(self._follow)

    @property
    def capture(self) -> "Capture | None":
        """None as long as nothing is captured."""
        return self._capture

    @property
    def stamp(self) -> Hashable:
        """With `families`: a fastserve.metric_source.MetricSource."""
        return None if self._capture is None else self._capture.stats()

    def families(self) -> Iterable[MetricFamily]:
        return () if self._capture is None else self._capture.families()

    def share(self, loaded: LoadedVersion) -> float:
        """Of the version's requests that the queue is to get. Thread: any."""
        return 0.0 if self._is_refused else loaded.config.capture.share

    def keep_label(self, model: str, label: Label) -> None:
        """Kept beside the captured requests, for the export that joins them."""
        if self._capture is not None:
            seconds = label.time_ns / 1e9 if label.time_ns else time.time()
            self._capture.labels.put(model, label.id, list(label.values), seconds)

    def close(self) -> None:
        """Finishes all files. Waits for the disk."""
        self.queue.close()
        if self._capture is not None:
            self._capture.close()

    def _follow(self, record: VersionRecord, _before: State) -> None:
        if record.state is State.READY:
            self._register(record)
        elif record.state is State.UNLOADED:
            self._forget(record)

    def _register(self, record: VersionRecord) -> None:
        """READY comes before the version is published, so before its first request."""
        loaded = record.loaded
        if loaded is None or not loaded.config.capture.share:
            return
        capture = self._opened()
        if capture is None:
            return
        from fastserve.observe.capture import CaptureVersion  # noqa: PLC0415 - loads pyarrow

        tensors = (spec.name for spec in (*loaded.wire_inputs, *loaded.wire_outputs))
        self._registered[record.model, record.number] = record
        capture.register(
            CaptureVersion(
                model=record.model,
                version=record.number,
                digest=loaded.digest,
                tensors=tuple(tensors),
                config=loaded.config.capture,
            )
        )

    def _forget(self, record: VersionRecord) -> None:
        key = (record.model, record.number)
        if self._capture is not None and self._registered.get(key) is record:
            del self._registered[key]
            self._capture.forget(*key)

    def _opened(self) -> "Capture | None":
        """Waits for the disk, once. A capture that cannot be opened stops nothing else."""
        if self._capture is not None or self._is_refused:
            return self._capture
        folder = self._settings.capture_folder
        try:
            from fastserve.observe.capture import Capture  # noqa: PLC0415 - loads pyarrow

            self._capture = Capture.open(folder, self._settings.capture, self.queue)
        except (ImportError, FastserveError, OSError) as error:
            self._is_refused = True
            fix = (
                "run `pip install 'fastserve[capture]'`" if isinstance(error, ImportError) else None
            )
            _log.error("nothing is captured", folder=str(folder), reason=str(error), fix=fix)
        else:
            _log.info("capture open", folder=str(folder))
        return self._capture
