"""Logs: one JSON object a line on stderr, whatever is put into it.

Fields are bounded, so a client that sends a megabyte as a name cannot fill the disk, and everything
outside printable ASCII is escaped, so it cannot fake a line or drive a terminal.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

# structlog.dev imports rich where it is installed, to draw tracebacks. A server of JSON
# lines never does: it would pay 60 of 276 ms of imports and 5 MB for it (python -X importtime).
_is_rich_hidden = "rich" not in sys.modules
if _is_rich_hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
    import structlog.contextvars
finally:
    if _is_rich_hidden:
        del sys.modules["rich"]

MAX_FIELD_CHARACTERS: Final = 2_000
MAX_TRACEBACK_CHARACTERS: Final = 12_000
MAX_ITEMS: Final = 100
# Of lists and mappings within others.
MAX_DEPTH: Final = 4


def configure_logs(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sends our events, and those of the standard library's loggers, to `stream` (stderr)."""
    structlog.configure(
        processors=[
            # request_id and trace_id, while a call is served (fastserve.rpc.calls).
            structlog.contextvars.merge_contextvars,
            _level_of,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _render_exception,
            _bound_fields,
            _delete_to_escape,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(max(level, logging.WARNING))


def get_logger(area: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry `area`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(area=area)
    return logger


class _Forward(logging.Handler):
    """Records of the standard library's loggers (asyncio, uvicorn, grpc) as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Any] = {"exc_info": exception} if exception else {}
        get_logger(record.name).log(
            record.levelno, "library", message=record.getMessage(), **fields
        )


Event = MutableMapping[str, Any]


def _level_of(_logger: object, method: str, event: Event) -> Event:
    event["level"] = "warning" if method == "warn" else method
    return event


def _render_exception(_logger: object, _method: str, event: Event) -> Event:
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        # The end says where it was raised.
        text = "".join(traceback.format_exception(error))
        event["traceback"] = _Long(text[-MAX_TRACEBACK_CHARACTERS:])
    return event


class _Long(str):
    """Text that was bounded already."""

    __slots__ = ()


def _bound_fields(_logger: object, _method: str, event: Event) -> Event:
    return {_bound_text(str(key)): _bound(value) for key, value in event.items()}


def _bound(value: Any, depth: int = 0) -> Any:
    """Values stay what they are; what is large, or too deep within others, becomes its text."""
    if isinstance(value, _Long) or value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _bound_text(value)
    is_container = isinstance(value, list | tuple | dict)
    if not is_container or depth > MAX_DEPTH:
        return _bound_text(str(value))
    if depth and len(text := str(value)) > MAX_FIELD_CHARACTERS:
        return _bound_text(text)
    if isinstance(value, dict):
        return {
            _bound_text(str(key)): _bound(item, depth + 1)
            for key, item in list(value.items())[:MAX_ITEMS]
        }
    items = [_bound(item, depth + 1) for item in value[:MAX_ITEMS]]
    return items if len(value) <= MAX_ITEMS else [*items, f"... {len(value) - MAX_ITEMS} more"]


def _bound_text(text: str) -> str:
    if len(text) <= MAX_FIELD_CHARACTERS:
        return text
    return f"{text[:MAX_FIELD_CHARACTERS]}... ({len(text)} characters)"


def _delete_to_escape(_logger: object, _method: str, event: Event) -> Event:
    """JSON escapes every control character but DEL."""
    return {
        key: value.replace("\x7f", "\\x7f") if isinstance(value, str) else value
        for key, value in event.items()
    }
