"""Checks that were passed: the same bytes, options and library need not be tried again.

Kept in the state folder, so that a restart does not try again what served before it.
"""

import contextlib
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fastserve.durable.state_file import read_state, write_state
from fastserve.errors import FastserveError
from fastserve.models.checker import CheckReport

CHECKED_FILE: Final = "checked.state"
_MAX_REPORTS: Final = 4096


class CheckedCache:
    """Reports of passed checks, the least recently used forgotten first. Thread: any."""

    def __init__(self, path: Path | None = None, max_reports: int = _MAX_REPORTS) -> None:
        """With a `path`, what was saved there before. A file that cannot be read is no harm."""
        self._path = path
        self._max_reports = max_reports
        self._reports: OrderedDict[str, CheckReport] = OrderedDict()
        self._is_saved = True
        self._lock = threading.Lock()
        if path is not None:
            with contextlib.suppress(OSError, FastserveError):
                self._reports.update(read_state(path, dict[str, CheckReport]).value or {})

    def __len__(self) -> int:
        return len(self._reports)

    def save(self) -> None:
        """Waits for the disk. Errors: OSError."""
        if self._path is None or self._is_saved:
            return
        with self._lock:
            reports = dict(self._reports)
            self._is_saved = True
        write_state(self._path, reports)

    def find(self, digest: str, options: Mapping[str, Any], library: str) -> CheckReport | None:
        """The report of a version's `digest` under these session options and library version."""
        key = _key(digest, options, library)
        with self._lock:
            report = self._reports.get(key)
            if report is not None:
                self._reports.move_to_end(key)
            return report

    def keep(
        self, digest: str, options: Mapping[str, Any], library: str, report: CheckReport
    ) -> None:
        with self._lock:
            self._reports[_key(digest, options, library)] = report
            self._is_saved = False
            while len(self._reports) > self._max_reports:
                self._reports.popitem(last=False)


def _key(digest: str, options: Mapping[str, Any], library: str) -> str:
    content = msgspec.json.encode((digest, options, library), order="sorted")
    return hashlib.sha256(content).hexdigest()
