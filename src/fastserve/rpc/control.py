"""fastserve.v1.Control: models, versions and labels for operators."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, Self

from fastserve._proto import fastserve_control_pb2 as pb
from fastserve.errors import InvalidConfig, VersionFailed, quoted
from fastserve.models.attempt import LoadOptions
from fastserve.models.catalog import Catalog
from fastserve.models.inspector import Inspector
from fastserve.models.record import ModelRecord, VersionRecord
from fastserve.models.state import State
from fastserve.rpc.context import CallContext
from fastserve.rpc.control_messages import check_message, model_message
from fastserve.rpc.method_table import Method, service_methods
from fastserve.rpc.operations import Operations
from fastserve.rpc.upload import Upload

SERVICE: Final = "fastserve.v1.Control"


class ControlServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(
        self, catalog: Catalog, operations: Operations, inspector: Inspector, upload: Upload
    ) -> None:
        self._catalog = catalog
        self._operations = operations
        self._inspector = inspector
        self._upload = upload

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE,
            {
                "ListModels": self.list_models,
                "DescribeModel": self.describe_model,
                "CheckModel": self.check_model,
                "PushModel": self.push_model,
                "LoadModel": self.load_model,
                "ReloadModel": self.reload_model,
                "UnloadModel": self.unload_model,
                "SetLabel": self.set_label,
                "RemoveLabel": self.remove_label,
                "WaitModel": self.wait_model,
            },
        )

    async def list_models(
        self, _request: pb.ListModelsRequest, _context: CallContext
    ) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(
            models=[
                model_message(model, self._catalog.routes.shares(model.name), is_brief=True)
                for model in self._catalog.models
            ]
        )

    async def describe_model(
        self, request: pb.DescribeModelRequest, _context: CallContext
    ) -> pb.Model:
        model = self._catalog.model(request.model)
        return model_message(model, self._catalog.routes.shares(model.name), is_brief=False)

    async def check_model(
        self, request: pb.CheckModelRequest, _context: CallContext
    ) -> pb.CheckModelResponse:
        return check_message(await self._inspector.inspect(request.model, request.version))

    async def push_model(
        self, requests: AsyncIterator[pb.PushModelRequest], context: CallContext
    ) -> pb.PushModelResponse:
        header, published = await self._upload.receive(requests)
        after = {"version": published.number, "digest": published.digest}
        await self._operations.note(context, "model.push", header.model, published.number, after)
        if header.load:
            await self._operations.load(context, header.model, str(published.number), LoadOptions())
        return pb.PushModelResponse(
            version=published.number, digest=published.digest, bytes=published.size_bytes
        )

    async def load_model(
        self, request: pb.LoadModelRequest, context: CallContext
    ) -> AsyncIterator[pb.ModelEvent]:
        if request.label and request.version:
            raise InvalidConfig("version and label are both given: give one of them")
        version = request.label or (str(request.version) if request.version else "")
        options = LoadOptions(
            is_standby=request.standby, allow_signature_change=request.allow_signature_change
        )

        async def change() -> None:
            await self._operations.load(context, request.model, version, options)

        async for event in self._events(request.model, change):
            yield event

    async def reload_model(
        self, request: pb.ReloadModelRequest, context: CallContext
    ) -> AsyncIterator[pb.ModelEvent]:
        options = LoadOptions(allow_signature_change=request.allow_signature_change)

        async def change() -> None:
            await self._operations.reload(context, request.model, options)

        async for event in self._events(request.model, change):
            yield event

    async def unload_model(
        self, request: pb.UnloadModelRequest, context: CallContext
    ) -> pb.UnloadModelResponse:
        gone = await self._operations.unload(
            context,
            request.model,
            request.version,
            is_forced=request.force,
            is_waiting=not request.no_wait,
        )
        return pb.UnloadModelResponse(versions=[record.number for record in gone])

    async def set_label(
        self, request: pb.SetLabelRequest, context: CallContext
    ) -> pb.SetLabelResponse:
        before = await self._operations.set_label(
            context, request.model, request.label, request.version
        )
        return pb.SetLabelResponse(previous_version=before)

    async def remove_label(
        self, request: pb.RemoveLabelRequest, context: CallContext
    ) -> pb.RemoveLabelResponse:
        before = await self._operations.remove_label(context, request.model, request.label)
        return pb.RemoveLabelResponse(previous_version=before)

    async def wait_model(
        self, request: pb.WaitModelRequest, _context: CallContext
    ) -> AsyncIterator[pb.ModelEvent]:
        wanted = _state(request.state)
        with _News(self._catalog, request.model) as news:
            model = self._catalog.model(request.model)
            if request.version:
                self._catalog.record(model, str(request.version))
            while True:
                record = _in_state(model, request.version, wanted)
                if record is not None:
                    yield news.event(record, model)
                    return
                _check_hope(model, request.version)
                changed = await news.take()
                yield news.event(changed, model)

    async def _events(
        self, name: str, change: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[pb.ModelEvent]:
        """The model's changes of state while `change` runs, and what serves at its end."""
        with _News(self._catalog, name) as news:
            task = asyncio.ensure_future(change())
            taking = asyncio.ensure_future(news.take())
            try:
                while not task.done():
                    await asyncio.wait({task, taking}, return_when=asyncio.FIRST_COMPLETED)
                    if taking.done():
                        yield news.event(taking.result(), self._catalog.get(name))
                        taking = asyncio.ensure_future(news.take())
                await task
            finally:
                taking.cancel()
                task.cancel()
            while (record := news.take_now()) is not None:
                yield news.event(record, self._catalog.get(name))
            model = self._catalog.get(name)
            serving = None if model is None else model.versions.get(model.serving)
            if serving is not None:
                yield news.event(serving, model)


class _News:
    """The changes of one model's versions, from now on."""

    def __init__(self, catalog: Catalog, name: str) -> None:
        self._queue: asyncio.Queue[VersionRecord] = asyncio.Queue()
        self._name = name
        self._started = time.monotonic()
        self._off = catalog.on_transition(self._note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._off()

    async def take(self) -> VersionRecord:
        return await self._queue.get()

    def take_now(self) -> VersionRecord | None:
        return None if self._queue.empty() else self._queue.get_nowait()

    def event(self, record: VersionRecord, model: ModelRecord | None) -> pb.ModelEvent:
        return pb.ModelEvent(
            model=record.model,
            version=record.number,
            state=record.state.name,
            reason=record.reason,
            is_serving=model is not None and model.serving == record.number,
            elapsed_seconds=time.monotonic() - self._started,
        )

    def _note(self, record: VersionRecord, _before: State) -> None:
        if record.model == self._name:
            # A copy: the record moves on before the event is sent.
            self._queue.put_nowait(_snapshot(record))


def _snapshot(record: VersionRecord) -> VersionRecord:
    return VersionRecord(
        model=record.model,
        number=record.number,
        path=record.path,
        state=record.state,
        reason=record.reason,
    )


def _in_state(model: ModelRecord, number: int, wanted: State) -> VersionRecord | None:
    for record in model.versions.values():
        if record.state is wanted and number in (0, record.number):
            return record
    return None


def _check_hope(model: ModelRecord, number: int) -> None:
    """Errors: VersionFailed with the reasons when every version that was waited for has failed."""
    awaited = [record for record in model.versions.values() if number in (0, record.number)]
    if awaited and all(record.state is State.FAILED for record in awaited):
        raise VersionFailed(
            "; ".join(f"version {record.number}: {record.reason}" for record in awaited)
        )


def _state(text: str) -> State:
    try:
        return State[text.upper() or "READY"]
    except KeyError:
        known = ", ".join(state.name for state in State)
        raise InvalidConfig(f"state {quoted(text)}: expected one of {known}") from None
