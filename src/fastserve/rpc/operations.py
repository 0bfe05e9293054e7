"""What operators do to models, each recorded: who, what, before, after, how it ended.

The record is durable before the caller is told that the change was made. A record that cannot be
written is counted and logged, and does not hold the change up: an operator must be able to go back
to the version before on a machine whose disk is full.

Thread: the event loop's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from fastserve.errors import FastserveError
from fastserve.models.attempt import LoadOptions
from fastserve.models.catalog import Catalog
from fastserve.models.drain import Drain
from fastserve.models.lifecycle import Lifecycle
from fastserve.models.loader import LoadJob
from fastserve.models.operator_choices import OperatorChoices
from fastserve.models.record import VersionRecord
from fastserve.observe.audit import AuditEvent
from fastserve.rpc.context import CallContext

T = TypeVar("T")
# Of a version's number; longer texts are refused where they are looked up.
_MAX_DIGITS = 19


class Recorder(Protocol):
    """Where records go: the audit log."""

    async def append(self, event: AuditEvent) -> None: ...


class Operations:
    """The operations of lifecycle, recorded."""

    def __init__(
        self,
        catalog: Catalog,
        lifecycle: Lifecycle,
        drain: Drain,
        choices: OperatorChoices,
        recorder: Recorder,
    ) -> None:
        self._catalog = catalog
        self._lifecycle = lifecycle
        self._drain = drain
        self._choices = choices
        self._recorder = recorder
        self._under_way: set[asyncio.Task[Any]] = set()

    async def load(
        self, context: CallContext, name: str, version: str, options: LoadOptions
    ) -> VersionRecord:
        """Errors: as Lifecycle.load."""
        is_number = version.isascii() and version.isdecimal() and len(version) <= _MAX_DIGITS
        number = int(version) if is_number else 0
        label = "" if is_number or not version else f"label {version}"
        return await self._recorded(
            self._event(context, "model.load", name, number, label),
            lambda: self._lifecycle.load(name, version, options),
        )

    async def load_files(self, context: CallContext, job: LoadJob) -> VersionRecord:
        """Errors: as Lifecycle.load_files."""
        event = self._event(context, "model.load", job.model, job.number, "files with the call")
        return await self._recorded(event, lambda: self._lifecycle.load_files(job))

    async def reload(
        self, context: CallContext, name: str, options: LoadOptions
    ) -> list[VersionRecord]:
        """Errors: as Lifecycle.reload."""
        event = self._event(context, "model.reload", name)
        return await self._recorded(event, lambda: self._lifecycle.reload(name, options))

    async def unload(
        self, context: CallContext, name: str, number: int, *, is_forced: bool, is_waiting: bool
    ) -> list[VersionRecord]:
        """Of all versions with number 0. With `is_waiting`, ends when their memory is given back.

        Errors: as Lifecycle.unload.
        """

        async def unload() -> list[VersionRecord]:
            version = str(number) if number else ""
            return self._lifecycle.unload(name, version, is_forced=is_forced)

        event = self._event(context, "model.unload", name, number)
        gone = await self._recorded(event, unload)
        if is_waiting:
            if any(record.state.is_underway for record in gone):
                # Held by who loads it, until the load has ended.
                async with self._lifecycle.lock(name):
                    pass
            for record in gone:
                await self._drain.wait(record)
        return gone

    async def set_label(self, context: CallContext, name: str, label: str, number: int) -> int:
        """Errors: as Lifecycle.set_label."""

        async def set_label() -> int:
            return self._lifecycle.set_label(name, label, number)

        event = self._event(context, "label.set", name, number, f"label {label}")
        return await self._recorded(event, set_label)

    async def remove_label(self, context: CallContext, name: str, label: str) -> int:
        """Errors: as Lifecycle.remove_label."""

        async def remove_label() -> int:
            return self._lifecycle.remove_label(name, label)

        event = self._event(context, "label.remove", name, 0, f"label {label}")
        return await self._recorded(event, remove_label)

    async def note(
        self, context: CallContext, action: str, name: str, number: int, after: Mapping[str, Any]
    ) -> None:
        """Records a change that was made elsewhere."""
        event = self._event(context, action, name, number)
        await self._recorder.append(msgspec.structs.replace(event, after=dict(after)))

    async def _recorded(self, event: AuditEvent, change: Callable[[], Awaitable[T]]) -> T:
        """Makes the change; durably recorded, as it ended, when this returns or raises.

        A caller that leaves does not take it back: half a load helps nobody, others may wait.
        """
        task = asyncio.get_running_loop().create_task(self._make(event, change), name=event.action)
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Looked at, also when nobody waits any more: it is in the record.
            task.exception()

    async def _make(self, event: AuditEvent, change: Callable[[], Awaitable[T]]) -> T:
        before = summarize(self._catalog, event.model)
        reason = event.reason
        outcome: Literal["ok", "refused", "failed"] = "ok"
        try:
            return await change()
        except FastserveError as error:
            reason, outcome = error.message, "refused" if error.code in _REFUSALS else "failed"
            raise
        except BaseException as error:
            reason, outcome = f"ended by {type(error).__name__}", "failed"
            raise
        finally:
            after = summarize(self._catalog, event.model)
            record = msgspec.structs.replace(
                event, before=before, after=after, reason=reason, outcome=outcome
            )
            await asyncio.gather(self._recorder.append(record), self._choices.save())

    @staticmethod
    def _event(
        context: CallContext, action: str, name: str, number: int = 0, reason: str = ""
    ) -> AuditEvent:
        return AuditEvent(
            actor=context.actor.shown,
            origin="operator",
            peer=context.peer,
            action=action,
            model=name,
            version=number,
            reason=reason,
        )


def summarize(catalog: Catalog, name: str) -> dict[str, Any]:
    """What of a model its operators see: which version serves, what is loaded, the labels."""
    model = catalog.get(name)
    if model is None:
        return {}
    return {
        "serving": model.serving,
        "ready": {str(each.number): each.digest[:16] for each in model.ready},
        "labels": dict(sorted(model.labels.items())),
    }


# INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED:
# nothing was tried.
_REFUSALS = frozenset({3, 5, 6, 7, 12, 16})
