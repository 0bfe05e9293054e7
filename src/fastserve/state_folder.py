"""The server's own folder: audit log and operators' choices. Held by one process.

A folder that was asked for must be usable. The default one, in the repository, may not be: the
repository is read-only, or several servers share it; then the server says so and keeps nothing.
"""

from pathlib import Path

from fastserve.config import Settings
from fastserve.errors import FastserveError
from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.observe.audit_record import read_key
from fastserve.observe.audit_retention import Retention
from fastserve.observe.logs import get_logger

_log = get_logger("state")


class StateFolder:
    """`path` and `audit` are None where nothing is kept. Thread: the event loop's."""

    def __init__(self, path: Path | None, audit: AuditLog | None) -> None:
        self.path = path
        self.audit = audit

    async def append(self, event: AuditEvent) -> None:
        """Durable when it returns, where there is an audit log; in the server's log in any case."""
        if self.audit is not None:
            await self.audit.append(event)
            return
        _log.info(
            "change",
            actor=event.actor,
            action=event.action,
            model=event.model,
            version=event.version or None,
            outcome=event.outcome,
            reason=event.reason or None,
        )

    def close(self) -> None:
        """Ends the audit log; what was acknowledged is on the disk."""
        if self.audit is not None:
            self.audit.close()


def open_state_folder(settings: Settings) -> StateFolder:
    """Errors: FastserveError and OSError for a folder that was asked for and cannot be used."""
    path = settings.state_folder
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not settings.audit.enabled:
            return StateFolder(path, None)
        key = None if settings.audit.key_file is None else read_key(settings.audit.key_file)
        retention = Retention(
            seconds=settings.audit.keep_days * 86_400.0, bytes=settings.audit.keep_bytes
        )
        return StateFolder(path, AuditLog.open(path / "audit", key=key, retention=retention))
    except (FastserveError, OSError) as error:
        if settings.state_dir is not None:
            raise
        _log.warning(
            "nothing is kept over a restart: no audit log, no labels",
            folder=str(path),
            reason=str(error),
            fix="give a folder of this server's own with --state-dir",
        )
        return StateFolder(None, None)
