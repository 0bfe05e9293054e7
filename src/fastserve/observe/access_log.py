"""The access log: one JSON object a line for each sampled call, written by a thread of its own.

Every text of a client was cut by the core, and everything outside printable ASCII is escaped, so
that a hostile name cannot fake a line, drive a terminal or fill the disk: no line is longer than
MAX_LINE_BYTES. A disk that is full or hangs costs lines, which are counted, and nothing else.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from fastserve._core import core
from fastserve.config import AccessLogSettings
from fastserve.errors import InvalidConfig
from fastserve.observe.actor_names import ActorNames
from fastserve.observe.backlog import Backlog
from fastserve.observe.call_status import NAMES
from fastserve.observe.logs import get_logger
from fastserve.observe.rotating_file import RotatingFile

MAX_LINE_BYTES: Final = 4096  # PIPE_BUF: a pipe takes such a line whole or not at all
_MAX_WAITING: Final = 8192
_MAX_GROUP: Final = 256
_LINES_AT_ONCE: Final = 16  # 64 KiB at most, as much as the smallest file may hold
_CLOSE_SECONDS: Final = 2.0

_log = get_logger("access log")


class AccessLog:
    """A CallWriter (observe/call_feed.py). Errors: InvalidConfig when the file cannot be opened."""

    def __init__(self, settings: AccessLogSettings, *, transport: str, actors: ActorNames) -> None:
        self._transport = transport
        self._actors = actors
        self.written = 0
        self.failed = 0
        self.dropped = 0
        self._is_failing = False
        self._file: RotatingFile | None = None
        self._put: Callable[[list[str]], None] = _put_on_stderr
        if settings.file is not None:
            try:
                self._file = RotatingFile(
                    settings.file, max_bytes=settings.max_file_bytes, kept_files=settings.kept_files
                )
            except OSError as error:
                raise InvalidConfig(
                    f"access_log.file {str(settings.file)!r} cannot be written: "
                    f"{error.strerror or error}"
                ) from error
            self._put = self._put_in_file
        self._backlog = Backlog(
            self._write, name="access log", max_items=_MAX_WAITING, max_group=_MAX_GROUP
        )

    def offer(self, records: Sequence[core.CallRecord]) -> None:
        self.dropped += self._backlog.offer([record for record in records if record.is_logged])

    def close(self) -> None:
        self.dropped += self._backlog.close(_CLOSE_SECONDS)

    def _write(self, records: Sequence[core.CallRecord]) -> None:
        offset_ns = time.time_ns() - time.monotonic_ns()
        lines = [self.line(record, offset_ns) for record in records]
        for place in range(0, len(lines), _LINES_AT_ONCE):
            self._put_counted(lines[place : place + _LINES_AT_ONCE])

    def _put_counted(self, lines: list[str]) -> None:
        try:
            self._put(lines)
        except OSError as error:
            self.failed += len(lines)
            # Once for a disk that is full for hours.
            if not self._is_failing:
                _log.error("lines lost", reason=error.strerror or str(error))
            self._is_failing = True
        else:
            self.written += len(lines)
            self._is_failing = False

    def _put_in_file(self, lines: list[str]) -> None:
        if self._file is not None:
            self._file.write("".join(lines).encode("ascii"))

    def line(self, record: core.CallRecord, offset_ns: int) -> str:
        """With its end. `offset_ns`: from the monotonic clock to the wall's."""
        ended = datetime.fromtimestamp((record.answered_ns + offset_ns) / 1e9, tz=UTC)
        fields: dict[str, Any] = {
            "time": ended.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "event": "call",
            "method": record.path,
            "model": record.model or None,
            "version": record.version or None,
            "id": record.id or None,
            "id_is_cut": record.is_id_cut or None,
            "trace_id": f"{record.trace_id:032x}" if record.trace_id else None,
            "span_id": f"{record.span_id:016x}" if record.span_id else None,
            "peer": record.peer,
            "actor": self._actors.name_of(record.token),
            "status": NAMES[record.code],
            "transport": self._transport,
            "rows": record.rows or None,
            "received_bytes": record.received_bytes or None,
            "sent_bytes": record.sent_bytes or None,
            "seconds": _seconds(record),
        }
        text = json.dumps(
            {key: value for key, value in fields.items() if value is not None},
            ensure_ascii=True,
            separators=(",", ":"),
        )
        # JSON escapes every control character but DEL.
        return text.replace("\x7f", "\\u007f") + "\n"


def _seconds(record: core.CallRecord) -> dict[str, float]:
    """Phases that the call came through; `total` is all of them, from its first byte."""
    marks = {
        "receive": record.received_ns,
        "queue": record.started_ns,
        "gather": record.gathered_ns,
        "compute": record.computed_ns,
        "reply": record.answered_ns,
    }
    phases: dict[str, float] = {}
    before = record.begun_ns
    for name, at in marks.items():
        if at == 0:
            continue
        if name != "reply" or record.computed_ns:
            phases[name] = round((at - before) / 1e9, 9)
        before = at
    phases["total"] = round((record.answered_ns - record.begun_ns) / 1e9, 9)
    return phases


def _put_on_stderr(lines: list[str]) -> None:
    # structlog's own writer: it holds the lock that the server's other lines are written under.
    write = structlog.PrintLogger(sys.stderr).msg
    for line in lines:
        write(line.removesuffix("\n"))
