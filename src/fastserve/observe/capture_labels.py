"""Labels that come back for captured requests: appended beside the requests' files, joined later.

`put` only queues; the capture's own thread writes. One line of JSON for each label:

    {"id":"order-17","label":1,"time":1769000000.25}

A label that comes twice is kept twice; the later time counts when they are joined. A file that a
crash cut off ends with half a line, which readers skip; it is never continued.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from fastserve.durable.replacement import sync_folder, write_all
from fastserve.observe.capture_folder import CaptureFolder, labels_folder
from fastserve.observe.logs import get_logger

MAX_QUEUED_BYTES: Final = 8 << 20
FILE_BYTES: Final = 16 << 20

_log = get_logger("capture")


class StoredLabel(msgspec.Struct, frozen=True):
    """A line of a file."""

    id: str
    label: Any
    time: float


class LabelCounts(msgspec.Struct, frozen=True):
    """Since the start: offered == stored + unsampled + dropped + failed + pending."""

    offered: int = 0
    stored: int = 0
    # Of requests that are not in the captured share: there is no row to join them to.
    unsampled: int = 0
    # No room, or no JSON.
    dropped: int = 0
    failed: int = 0
    pending: int = 0


class _LabelFile(msgspec.Struct):
    path: Path
    descriptor: int
    size_bytes: int = 0


class LabelSink:
    """Takes labels for `folder`. Thread: `put` any, the rest the writer's."""

    def __init__(
        self,
        folder: CaptureFolder,
        *,
        is_captured: Callable[[str, str], bool],
        clock: Callable[[], float],
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        """`is_captured`: whether a request of that model and id is in the captured share."""
        self._folder = folder
        self._is_captured = is_captured
        self._clock = clock
        self._max_queued_bytes = max_queued_bytes
        self._file_bytes = file_bytes
        self._changing = threading.Lock()
        self._queue: list[tuple[str, bytes]] = []
        self._queued_bytes = 0
        self._is_closed = False
        self._counts = LabelCounts()
        self._files: dict[str, _LabelFile] = {}

    @property
    def counts(self) -> LabelCounts:
        return self._counts

    # As the feedback calls them: `id` is the protocol's word.
    def put(self, model: str, id: str, label: Any, time: float) -> bool:  # noqa: A002
        """False when there is nothing to join it to, or no room. Never waits, never raises.

        `label` is anything that JSON has; `time` in seconds since 1970.
        """
        if not id or not self._is_captured(model, id):
            return self._refuse("unsampled")
        try:
            line = msgspec.json.encode(StoredLabel(id, label, float(time))) + b"\n"
        except (TypeError, ValueError, msgspec.MsgspecError):
            return self._refuse("dropped")
        with self._changing:
            if not self._is_closed and self._queued_bytes + len(line) <= self._max_queued_bytes:
                self._queue.append((model, line))
                self._queued_bytes += len(line)
                self._count(offered=1, pending=1)
                return True
        return self._refuse("dropped")

    def write_all(self) -> None:
        """What was put is on the disk, or counted as failed, when this returns. Raises nothing."""
        with self._changing:
            queue, self._queue, self._queued_bytes = self._queue, [], 0
        by_model: dict[str, list[bytes]] = {}
        for model, line in queue:
            by_model.setdefault(model, []).append(line)
        for model, lines in by_model.items():
            try:
                self._append(model, b"".join(lines))
            except OSError as error:
                self._drop_file(model)
                _log.error("labels not stored", model=model, labels=len(lines), reason=str(error))
                with self._changing:
                    self._count(failed=len(lines), pending=-len(lines))
            else:
                with self._changing:
                    self._count(stored=len(lines), pending=-len(lines))

    def close(self) -> None:
        """Writes what waits; what comes later is dropped."""
        with self._changing:
            self._is_closed = True
        self.write_all()
        for model in list(self._files):
            self._drop_file(model)

    def _append(self, model: str, data: bytes) -> None:
        if self._folder.is_low():
            raise OSError("the disk has less than capture.min_free_bytes free")
        self._folder.make_room(len(data))
        file = self._files.get(model)
        # The bound of the disk may have removed it.
        if file is not None and not file.path.exists():
            self._drop_file(model)
            file = None
        if file is None:
            file = self._files[model] = self._begin(model)
        write_all(file.descriptor, data, file.size_bytes)
        os.fdatasync(file.descriptor)
        file.size_bytes += len(data)
        self._folder.grow(file.path, len(data))
        if file.size_bytes >= self._file_bytes:
            self._drop_file(model)

    def _begin(self, model: str) -> _LabelFile:
        place = labels_folder(self._folder.root, model)
        path = self._folder.new_file(place, int(self._clock() * 1e9), "jsonl")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        file = _LabelFile(path, os.open(path, flags, 0o600))
        sync_folder(place)
        self._folder.add(path, 0)
        return file

    def _drop_file(self, model: str) -> None:
        """The next label of the model begins a new one."""
        file = self._files.pop(model, None)
        if file is not None:
            os.close(file.descriptor)

    def _refuse(self, outcome: str) -> bool:
        with self._changing:
            self._count(offered=1, **{outcome: 1})
        return False

    def _count(self, **more: int) -> None:
        now = msgspec.structs.asdict(self._counts)
        self._counts = LabelCounts(**{name: now[name] + more.get(name, 0) for name in now})
