"""The asyncio client."""

# ruff: noqa: ASYNC109 - `timeout` is the deadline that the server is told, not a local timer

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import grpc

from fastserve.client import call as calls, feedback
from fastserve.client.channel import TLS, Metadata
from fastserve.client.failure import Failure
from fastserve.client.feedback import FeedbackResult, Labels
from fastserve.client.metadata import IndexEntry, ModelMetadata, ServerMetadata
from fastserve.client.request import InferRequest, Parameter
from fastserve.client.result import InferResult
from fastserve.client.retry import RetryPolicy
from fastserve.client.session import (
    DEFAULT_MAX_MESSAGE_BYTES,
    DEFAULT_RETRIES,
    Session,
    seconds_left,
)
from fastserve.errors import FastserveError

T = TypeVar("T")


class AsyncClient:
    """Calls one server of the Open Inference Protocol from asyncio.

    `target` is HOST:PORT or unix:PATH; the connection is made by the first call. `timeout` is the
    deadline in seconds of each call that names none, over all its attempts; None for no deadline.
    `retries` counts attempts after the first, after UNAVAILABLE and RESOURCE_EXHAUSTED alone; 0
    turns them off. `tls` True trusts the system's roots.

    Errors: the classes of fastserve.errors and fastserve.client, each with `.code` and `.message`.
    Cancelling a task cancels its call on the server.
    Thread: that of the event loop of the first call.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        tls: bool | TLS | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy = DEFAULT_RETRIES,
        metadata: Metadata = (),
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        compression: Literal["gzip", "deflate"] | None = None,
    ) -> None:
        self._session = Session(
            target,
            token=token,
            tls=tls,
            timeout=timeout,
            retries=retries,
            metadata=metadata,
            max_message_bytes=max_message_bytes,
            compression=compression,
        )
        self._methods: dict[str, Any] = {}
        self._channel: Any = None

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: str = "",
        outputs: Iterable[str] | None = None,
        timeout: float | None = None,
        request_id: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        priority: int | None = None,
        datatypes: Mapping[str, str] | None = None,
        metadata: Metadata = (),
    ) -> InferResult:
        """The outputs for numpy `inputs` by name; without `version` the server's choice answers.

        `outputs` names those wanted, None for all. `datatypes={"x": "BF16"}` sends a uint16 array
        as BF16. Errors: InvalidTensor before anything is sent when an input is no tensor.
        """
        request = InferRequest(
            model=model,
            inputs=inputs,
            version=version,
            outputs=outputs,
            request_id=request_id,
            parameters=parameters,
            priority=priority,
            datatypes=datatypes or {},
        )
        return await self._run(calls.infer(request), timeout, metadata)

    @overload
    def infer_stream(
        self,
        requests: Iterable[InferRequest] | AsyncIterable[InferRequest],
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        return_exceptions: Literal[False] = False,
    ) -> AsyncIterator[InferResult]: ...

    @overload
    def infer_stream(
        self,
        requests: Iterable[InferRequest] | AsyncIterable[InferRequest],
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        return_exceptions: Literal[True],
    ) -> AsyncIterator[InferResult | FastserveError]: ...

    async def infer_stream(
        self,
        requests: Iterable[InferRequest] | AsyncIterable[InferRequest],
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        return_exceptions: bool = False,
    ) -> AsyncIterator[Any]:
        """The answers to `requests` over one stream, as they come; the stream is not retried.

        `timeout` bounds the whole stream. A request that the server refuses raises and ends the
        stream, or with `return_exceptions` its error takes the answer's place and the stream goes
        on.
        """
        feed = _Feed(requests)
        deadline = self._session.deadline(timeout)
        stream = self._stream_method(calls.STREAM_PATH)(
            aiter(feed),
            timeout=seconds_left(deadline),
            metadata=self._session.metadata(metadata),
            compression=self._session.compression,
        )
        try:
            async for data in stream:
                reply = calls.read_stream_reply(data)
                if isinstance(reply, FastserveError) and not return_exceptions:
                    raise reply
                yield reply
        except grpc.RpcError as error:
            raise self._session.error(Failure(error)) from error
        finally:
            stream.cancel()
        if feed.error is not None:
            raise feed.error

    async def feedback(
        self, model: str, labels: Labels, *, timeout: float | None = None
    ) -> FeedbackResult:
        """Tells a fastserve what was true of earlier requests, by their id; what became of each.

        `labels`: `{"order-17": 1}`, with a list where a request had several rows, or `Label`s.
        One that cannot be used raises nothing: its outcome says so. A label that is sent again by a
        retry is a duplicate, and counts once.
        """
        return await self._run(feedback.send_call(model, labels), timeout)

    async def show_quality(
        self,
        model: str = "",
        *,
        version: int = 0,
        window_seconds: int = 0,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """As `Client.show_quality`."""
        return await self._run(feedback.quality_call(model, version, window_seconds), timeout)

    async def live(self, *, timeout: float | None = None) -> bool:
        """The server's process answers."""
        return await self._run(calls.server_live(), timeout)

    async def ready(self, *, timeout: float | None = None) -> bool:
        """The server can answer inferences."""
        return await self._run(calls.server_ready(), timeout)

    async def model_ready(
        self, model: str, version: str = "", *, timeout: float | None = None
    ) -> bool:
        """The model, or that version of it, can answer."""
        return await self._run(calls.model_ready(model, version), timeout)

    async def server_metadata(self, *, timeout: float | None = None) -> ServerMetadata:
        return await self._run(calls.server_metadata(), timeout)

    async def model_metadata(
        self, model: str, version: str = "", *, timeout: float | None = None
    ) -> ModelMetadata:
        return await self._run(calls.model_metadata(model, version), timeout)

    async def model_config(
        self, model: str, version: str = "", *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Triton's ModelConfig as a dict under the names of its .proto."""
        return await self._run(calls.model_config(model, version), timeout)

    async def model_statistics(
        self, model: str = "", version: str = "", *, timeout: float | None = None
    ) -> list[dict[str, Any]]:
        """Counts and times of each version, one dict each; of all models without a name."""
        return await self._run(calls.model_statistics(model, version), timeout)

    async def repository_index(
        self, *, ready_only: bool = False, timeout: float | None = None
    ) -> list[IndexEntry]:
        """Every model version that the server knows, with its state and the reason of it."""
        return await self._run(calls.repository_index(ready_only=ready_only), timeout)

    async def health(self, service: str = "", *, timeout: float | None = None) -> str:
        """SERVING or NOT_SERVING, from grpc.health.v1; ModelNotFound for an unknown service."""
        return await self._run(calls.health(service), timeout)

    async def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, call: calls.Call[T], timeout: float | None, metadata: Metadata = ()) -> T:
        session = self._session
        method = self._methods.get(call.path) or self._unary_method(call.path)
        sent = session.metadata(metadata)
        deadline = session.deadline(timeout)
        attempt = 0
        while True:
            attempt += 1
            try:
                data = await method(
                    call.request,
                    timeout=seconds_left(deadline),
                    metadata=sent,
                    compression=session.compression,
                )
            except grpc.RpcError as error:
                failure = Failure(error)
            else:
                session.budget.on_success()
                return call.read(data)
            wait = session.next_wait(attempt, failure, deadline)
            if wait is None:
                raise session.error(failure)
            await asyncio.sleep(wait)

    def _unary_method(self, path: str) -> Any:
        # No serializers: requests are bytes already, and an error while reading an answer is ours
        # to word, not INTERNAL.
        return self._methods.setdefault(path, self._open_channel().unary_unary(path))

    def _stream_method(self, path: str) -> Any:
        return self._methods.get(path) or self._methods.setdefault(
            path, self._open_channel().stream_stream(path)
        )

    def _open_channel(self) -> Any:
        # Not in the constructor: the channel belongs to the loop that runs when it is made.
        if self._channel is None:
            settings = self._session.settings
            credentials = settings.credentials()
            options = settings.options()
            self._channel = (
                grpc.aio.insecure_channel(settings.target, options)
                if credentials is None
                else grpc.aio.secure_channel(settings.target, credentials, options)
            )
        return self._channel


class _Feed:
    """The bytes of requests. An error while drawing ends the sending and is kept for the reader."""

    def __init__(self, requests: Iterable[InferRequest] | AsyncIterable[InferRequest]) -> None:
        self._requests = requests
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            if isinstance(self._requests, AsyncIterable):
                async for request in self._requests:
                    yield request.serialize()
            else:
                for request in self._requests:
                    yield request.serialize()
        except Exception as error:  # noqa: BLE001 - the caller's own generator: raised in the reader
            self.error = error
