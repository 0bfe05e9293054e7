"""Checks that were passed: the same bytes, options and library need not be tried again."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fastserve.models.checker import CheckReport

_MAX_REPORTS: Final = 4096


class CheckedCache:
    """Reports of passed checks, the least recently used forgotten first. Thread: any."""

    def __init__(self, max_reports: int = _MAX_REPORTS) -> None:
        self._max_reports = max_reports
        self._reports: OrderedDict[bytes, CheckReport] = OrderedDict()
        self._lock = threading.Lock()

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
            while len(self._reports) > self._max_reports:
                self._reports.popitem(last=False)


def _key(digest: str, options: Mapping[str, Any], library: str) -> bytes:
    return msgspec.json.encode((digest, options, library), order="sorted")
