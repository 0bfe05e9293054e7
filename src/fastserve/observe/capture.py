"""Capture: a sampled share of requests and answers, in Parquet files, with their labels beside.

The engine samples and fills a bounded queue; a thread of this module empties it into files. Nobody
who serves waits for it: what finds no room is dropped, what cannot be written has failed, and both
are counted:

    offered == captured + dropped + failed + pending

where `pending` are requests in the queue and in files that are not finished; it is 0 after `close`.
A process that is killed loses what is pending: at most `file_seconds` of each version, plus what
waited in the queue.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, Self

import msgspec

from fastserve import __version__
from fastserve._core import core
from fastserve.config import CaptureSettings
from fastserve.metric_source import MetricFamily, MetricType, Sample
from fastserve.observe.audit_record import read_key
from fastserve.observe.capture_folder import CaptureFolder
from fastserve.observe.capture_labels import LabelSink
from fastserve.observe.capture_store import CaptureStore, CaptureVersion
from fastserve.observe.logs import get_logger

__all__ = ["Capture", "CaptureSource", "CaptureStats", "CaptureVersion"]

# Of the queue, in one go: what is taken is in memory twice.
TAKE_BYTES: Final = 4 << 20
# The longest that a request waits for the writer, who is asleep while little comes.
PASS_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 10.0

_log = get_logger("capture")


class CaptureSource(Protocol):
    """Where captured requests wait (fastserve._core.core.CaptureQueue)."""

    @property
    def max_bytes(self) -> int: ...
    def take(self, max_bytes: int) -> list[core.CapturedRequest]: ...
    def wait(self, min_bytes: int, timeout_seconds: float) -> None: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...
    def stats(self) -> core.CaptureQueueStats: ...


class CaptureStats(msgspec.Struct, frozen=True):
    """Since the start; requests where nothing else is said."""

    offered: int
    captured: int
    dropped: int
    failed: int
    pending: int
    rows: int  # captured
    files: int  # written
    bytes: int  # of those
    disk_bytes: int  # of all files that are there
    removed_files: int  # to stay within the bound
    lost_files: int  # cut off by the end of the process before
    labels_offered: int
    labels_stored: int
    labels_unsampled: int
    labels_dropped: int
    labels_failed: int


class Capture:
    """Made by `open`, ended by `close`. Thread: any."""

    def __init__(self, folder: CaptureFolder, store: CaptureStore, source: CaptureSource,
                 clock: Callable[[], float]) -> None:  # fmt: skip
        self._folder = folder
        self._store = store
        self._source = source
        # What is to be done between two requests, by the thread that owns the store.
        self._changing = threading.Lock()
        self._changes: list[Callable[[], None]] = []
        # By model and version.
        self._shares: dict[str, dict[int, float]] = {}
        self._is_closing = False
        self.labels = LabelSink(folder, is_captured=self._is_captured, clock=clock)
        # A daemon: a disk that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    @classmethod
    def open(
        cls,
        folder: Path,
        settings: CaptureSettings,
        source: CaptureSource,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Recovers the folder and begins to write into it. Waits for the disk.

        Errors: InvalidConfig when another process holds the folder, or for the key; OSError.
        """
        key = None if settings.hash_key_file is None else read_key(settings.hash_key_file)
        kept = CaptureFolder(
            folder, max_bytes=settings.max_disk_bytes, min_free_bytes=settings.min_free_bytes
        )
        if kept.recovery.files:
            _log.warning(
                "captured requests lost: files were cut off by the end of the last process",
                folder=str(folder),
                **msgspec.to_builtins(kept.recovery),
            )
        kept.make_room(0)
        store = CaptureStore(kept, settings, key=key, server_version=__version__, clock=clock)
        capture = cls(kept, store, source, clock)
        capture._thread.start()
        return capture

    @property
    def root(self) -> Path:
        return self._folder.root

    def register(self, version: CaptureVersion) -> None:
        """Before the first request of the version: without, its requests fail."""
        with self._changing:
            share = version.config.share
            self._shares.setdefault(version.model, {})[version.version] = share
        self._store.register(version)

    def forget(self, model: str, version: int) -> None:
        """After its last request."""
        with self._changing:
            self._shares.get(model, {}).pop(version, None)
            # It may be registered anew before the writer comes to this.
            meant = self._store.registered(model, version)
            self._changes.append(lambda: self._store.forget(model, version, meant))
        self._source.wake()

    def flush(self) -> None:
        """Everything that was put before is in finished files, or failed, when this returns.

        Waits for at most CLOSE_SECONDS.
        """
        done = threading.Event()

        def finish() -> None:
            self._drain()
            self._store.finish_all()
            self.labels.write_all()
            done.set()

        with self._changing:
            if self._is_closing:
                return
            self._changes.append(finish)
        self._source.wake()
        done.wait(CLOSE_SECONDS)

    def close(self) -> None:
        """Writes what waits, for at most CLOSE_SECONDS; nothing is pending then."""
        with self._changing:
            self._is_closing = True
        self._source.close()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            # The thread still uses the files: they go with the process.
            _log.error("capture not closed", reason="the disk does not answer")
            return
        self._folder.close()

    def stats(self) -> CaptureStats:
        # In this order: what is settled was taken before.
        counts, labels = self._store.counts, self.labels.counts
        queue = self._source.stats()
        settled = counts.captured + counts.failed
        return CaptureStats(
            offered=queue.offered,
            captured=counts.captured,
            dropped=queue.dropped,
            failed=counts.failed,
            pending=queue.waiting + queue.taken - settled,
            rows=counts.rows,
            files=counts.files,
            bytes=counts.bytes,
            disk_bytes=self._folder.size_bytes,
            removed_files=self._folder.removed_files,
            lost_files=self._folder.recovery.files,
            labels_offered=labels.offered,
            labels_stored=labels.stored,
            labels_unsampled=labels.unsampled,
            labels_dropped=labels.dropped,
            labels_failed=labels.failed,
        )

    def families(self) -> Iterator[MetricFamily]:
        """For the metrics page."""
        now = self.stats()
        fields: dict[str, Any] = msgspec.structs.asdict(now)

        def outcomes(prefix: str, *names: str) -> list[Sample]:
            return [({"outcome": name}, fields[prefix + name]) for name in names]

        yield MetricFamily(
            "fastserve_capture_requests_total",
            "Sampled requests, by outcome",
            "counter",
            outcomes("", "offered", "captured", "dropped", "failed"),
        )
        yield MetricFamily(
            "fastserve_capture_labels_total",
            "Labels, by outcome",
            "counter",
            outcomes("labels_", "offered", "stored", "unsampled", "dropped", "failed"),
        )
        totals: tuple[tuple[str, MetricType, str, float], ...] = (
            ("bytes_total", "counter", "Captured, in finished files", now.bytes),
            ("rows_total", "counter", "Captured, in finished files", now.rows),
            ("files_total", "counter", "Finished files", now.files),
            ("removed_files_total", "counter", "Removed to stay within the bound of the disk",
             now.removed_files),
            ("lost_files_total", "counter", "Cut off by the end of the process before",
             now.lost_files),
            ("pending_requests", "gauge", "In the queue and in unfinished files", now.pending),
            ("disk_bytes", "gauge", "Of all files that are there", now.disk_bytes),
        )  # fmt: skip
        for name, kind, text, value in totals:
            yield MetricFamily(f"fastserve_capture_{name}", text, kind, [({}, value)])

    def _is_captured(self, model: str, request_id: str) -> bool:
        with self._changing:
            share = max(self._shares.get(model, {}).values(), default=0.0)
        return core.is_captured(share, request_id, 0, 0)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._source.wait(self._source.max_bytes // 4, PASS_SECONDS)
            with self._changing:
                changes, self._changes = self._changes, []
                is_last = self._is_closing
            if is_last:
                self._source.close()
            self._drain()
            # Behind the requests that came before them.
            for change in changes:
                change()
            self._store.tick()
            if not is_last:
                self.labels.write_all()
        self._store.finish_all()
        self.labels.close()

    def _drain(self) -> None:
        """Takes what waits now; more may come as quickly as it is taken."""
        waiting = self._source.stats().waiting
        while waiting > 0 and (batch := self._source.take(TAKE_BYTES)):
            waiting -= len(batch)
            for request in batch:
                self._store.add(request)
