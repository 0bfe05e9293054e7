"""Captured requests into files: decodes, gathers into row groups, rotates, counts.

A request counts as captured when its file has its name on the disk. Until then it is pending, and
when the file cannot be finished, all of its requests have failed.

Thread: one; the counters are read by any.
"""

import threading
from collections.abc import Callable
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.config import CaptureSettings
from fastserve.errors import InvalidConfig
from fastserve.model_config import CaptureConfig
from fastserve.observe.capture_columns import Columns, make_schema, make_table, widen
from fastserve.observe.capture_file import CaptureFile
from fastserve.observe.capture_folder import CaptureFolder, version_folder
from fastserve.observe.capture_pieces import Sample, decode_request
from fastserve.observe.capture_redaction import Redaction, make_redaction
from fastserve.observe.logs import get_logger

# Decoded, of one version, before it becomes a row group.
GROUP_BYTES: Final = 8 << 20
# Of all versions together.
MAX_GATHERED_BYTES: Final = 64 << 20
MAX_OPEN_FILES: Final = 64

_Key = tuple[str, int]
_log = get_logger("capture")


class CaptureVersion(msgspec.Struct, frozen=True):
    """A version whose requests may come, and what its configuration says of them."""

    model: str
    version: int
    digest: str
    # Names of all inputs and outputs, as clients see them.
    tensors: tuple[str, ...]
    config: CaptureConfig


class StoreCounts(msgspec.Struct, frozen=True):
    """Requests since the start, of one moment."""

    captured: int = 0
    failed: int = 0
    rows: int = 0
    files: int = 0
    bytes: int = 0


class _Open:
    """What was gathered for the next file of one version."""

    def __init__(self, version: CaptureVersion, columns: Columns, unix_seconds: float) -> None:
        self.version = version
        self.columns = columns
        self.since = unix_seconds
        self.samples: list[Sample] = []
        self.gathered_bytes = 0
        self.requests = 0
        self.rows = 0
        self.file: CaptureFile | None = None

    @property
    def size_bytes(self) -> int:
        return self.gathered_bytes + (0 if self.file is None else self.file.size_bytes)


class CaptureStore:
    """Writes into `folder`. `key` hashes the fields that a configuration says."""

    def __init__(
        self,
        folder: CaptureFolder,
        settings: CaptureSettings,
        *,
        key: bytes | None,
        server_version: str,
        clock: Callable[[], float],
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._hash_key = key
        self._server_version = server_version
        self._clock = clock
        self._group_bytes = group_bytes
        self._registering = threading.Lock()
        self._versions: dict[_Key, tuple[CaptureVersion, Redaction | None]] = {}
        self._open: dict[_Key, _Open] = {}
        # Of versions that were seen: they stay wide as long as the rules are the same.
        self._columns: dict[_Key, tuple[CaptureVersion, Columns]] = {}
        self._is_low = False
        self._complaint = ""
        # Replaced whole, so that a reader sees one moment.
        self.counts = StoreCounts()

    def register(self, version: CaptureVersion) -> None:
        """Requests of it may come now, by these rules. Where they make no sense, none is captured.

        Thread: any.
        """
        try:
            redaction = make_redaction(version.config, version.tensors, self._hash_key)
        except InvalidConfig as error:
            _log.error(
                "not captured",
                model=version.model,
                version=version.version,
                reason=f"capture.{error.message}",
            )
            redaction = None
        with self._registering:
            self._versions[version.model, version.version] = (version, redaction)

    def registered(self, model: str, version: int) -> CaptureVersion | None:
        """Whose rules hold now. Thread: any."""
        return self._versions.get((model, version), (None, None))[0]

    def forget(self, model: str, version: int, meant: CaptureVersion | None) -> None:
        """No request of `meant` comes any more; what was registered after it stays."""
        key = (model, version)
        self._finish(key)
        with self._registering:
            if self.registered(*key) is not meant:
                return
            self._versions.pop(key, None)
        self._columns.pop(key, None)

    def add(self, request: core.CapturedRequest) -> None:
        """It is captured or failed, now or later. Raises nothing."""
        key = (request.model, request.version)
        version, redaction = self._versions.get(key, (None, None))
        if version is None or redaction is None:
            # What may be written of it is not known.
            self._fail(1, f"{request.model} {request.version}: has no rules for its capture")
            return
        try:
            sample = decode_request(request, redaction)
            self._gather(version, sample)
        except (ValueError, KeyError) as error:
            self._fail(1, f"{request.model} {request.version}: {error}")

    def tick(self) -> None:
        """Finishes what is old enough."""
        now = self._clock()
        for key, one in list(self._open.items()):
            # A clock that was set back must not keep a file open.
            if not 0 <= now - one.since < self._settings.file_seconds:
                self._finish(key)

    def finish_all(self) -> None:
        """Every request that was added is captured or failed when this returns."""
        for key in list(self._open):
            self._finish(key)

    def _gather(self, version: CaptureVersion, sample: Sample) -> None:
        """Errors: ValueError when the sample has no place; it counts nowhere then."""
        key = (version.model, version.version)
        rules, known = self._columns.get(key, (version, {}))
        columns = widen(known if rules is version else {}, sample)
        if columns is not known:
            self._finish(key)
            self._columns[key] = (version, columns)
        one = self._open.get(key)
        if one is None:
            if len(self._open) >= MAX_OPEN_FILES:
                self._finish(next(iter(self._open)))
            one = self._open[key] = _Open(version, columns, self._clock())
        one.samples.append(sample)
        one.gathered_bytes += sample.size_bytes
        one.requests += 1
        one.rows += sample.rows
        if one.rows >= self._settings.file_rows or one.size_bytes >= self._settings.file_bytes:
            self._finish(key)
        elif one.gathered_bytes >= self._group_bytes:
            self._write(key, one)
        elif sum(each.gathered_bytes for each in self._open.values()) > MAX_GATHERED_BYTES:
            for other, each in list(self._open.items()):
                self._write(other, each)

    def _finish(self, key: _Key) -> None:
        """Publishes the version's file, if it has one."""
        one = self._open.get(key)
        if one is None or not self._write(key, one):
            return
        del self._open[key]
        file = one.file
        assert file is not None  # noqa: S101 - _write made it: `one` has samples or had some
        try:
            file.publish()
        except Exception as error:  # noqa: BLE001 - the fault of one file must not end the writer
            self._fail(one.requests, str(error))
            return
        self.counts = msgspec.structs.replace(
            self.counts,
            captured=self.counts.captured + one.requests,
            rows=self.counts.rows + one.rows,
            files=self.counts.files + 1,
            bytes=self.counts.bytes + file.size_bytes,
        )
        self._complaint = ""
        self._folder.add(file.path, file.size_bytes)
        try:
            self._folder.make_room(0)
        except OSError as error:
            # It is tried again before the next file, which fails if this goes on.
            _log.error("oldest files not removed", reason=str(error))

    def _write(self, key: _Key, one: _Open) -> bool:
        """The gathered samples as a row group. False when that failed, and `one` is gone."""
        if not one.samples:
            return True
        try:
            self._require_space(one)
            if one.file is None:
                one.file = self._begin(key, one)
            one.file.write(make_table(one.columns, one.samples, one.file.schema))
        except Exception as error:  # noqa: BLE001 - the fault of one file must not end the writer
            if one.file is not None:
                one.file.abandon()
            del self._open[key]
            self._fail(one.requests, str(error))
            return False
        one.samples = []
        one.gathered_bytes = 0
        return True

    def _require_space(self, one: _Open) -> None:
        is_low = self._folder.is_low()
        if is_low != self._is_low:
            self._is_low = is_low
            (_log.error if is_low else _log.info)(
                "capture stopped: the disk is low" if is_low else "capture goes on",
                min_free_bytes=self._settings.min_free_bytes,
            )
        if is_low:
            raise OSError("the disk has less than capture.min_free_bytes free")
        # Compressed it is smaller; the bound holds in any case.
        self._folder.make_room(one.size_bytes + self._others(one))

    def _others(self, one: _Open) -> int:
        """Bytes of the other files under way."""
        return sum(
            other.file.size_bytes
            for other in self._open.values()
            if other is not one and other.file is not None
        )

    def _begin(self, key: _Key, one: _Open) -> CaptureFile:
        version = one.version
        metadata = {
            "fastserve.model": version.model,
            "fastserve.version": str(version.version),
            "fastserve.digest": version.digest,
            "fastserve.server": self._server_version,
        }
        place = version_folder(self._folder.root, *key)
        path = self._folder.new_file(place, int(one.since * 1e9), "parquet")
        return CaptureFile(path, make_schema(one.columns, metadata))

    def _fail(self, requests: int, reason: str) -> None:
        self.counts = msgspec.structs.replace(self.counts, failed=self.counts.failed + requests)
        # One line for a fault that goes on; the counter has the rest.
        if reason != self._complaint:
            _log.error("not captured", requests=requests, reason=reason)
        self._complaint = reason
