"""The blocking client."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, Literal, Self, overload

from fastserve.client import call as calls, feedback
from fastserve.client.channel import TLS, Metadata
from fastserve.client.connection import Connection
from fastserve.client.feedback import FeedbackResult, FeedbackSummary, Labels
from fastserve.client.metadata import IndexEntry, ModelMetadata, ServerMetadata
from fastserve.client.request import InferRequest, Parameter
from fastserve.client.result import InferResult
from fastserve.client.retry import RetryPolicy
from fastserve.client.session import (
    DEFAULT_MAX_MESSAGE_BYTES,
    DEFAULT_RETRIES,
    Session,
)
from fastserve.errors import FastserveError


class Client:
    """Calls one server of the Open Inference Protocol and waits for its answers.

    `target` is HOST:PORT or unix:PATH; the connection is made by the first call. `timeout` is the
    deadline in seconds of each call that names none, over all its attempts; None for no deadline.
    `retries` counts attempts after the first, after UNAVAILABLE and RESOURCE_EXHAUSTED alone; 0
    turns them off. `tls` True trusts the system's roots.

    Errors: the classes of fastserve.errors and fastserve.client, each with `.code` and `.message`.
    Thread: any number of threads may share one client.
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
        session = Session(
            target,
            token=token,
            tls=tls,
            timeout=timeout,
            retries=retries,
            metadata=metadata,
            max_message_bytes=max_message_bytes,
            compression=compression,
        )
        self._connection = Connection(session)

    def infer(
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
        return self._connection.run(calls.infer(request), timeout, metadata)

    @overload
    def infer_stream(
        self,
        requests: Iterable[InferRequest],
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        return_exceptions: Literal[False] = False,
    ) -> Iterator[InferResult]: ...

    @overload
    def infer_stream(
        self,
        requests: Iterable[InferRequest],
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        return_exceptions: Literal[True],
    ) -> Iterator[InferResult | FastserveError]: ...

    def infer_stream(
        self,
        requests: Iterable[InferRequest],
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        return_exceptions: bool = False,
    ) -> Iterator[Any]:
        """The answers to `requests` over one stream, as they come; the stream is not retried.

        `timeout` bounds the whole stream. A request that the server refuses raises and ends the
        stream, or with `return_exceptions` its error takes the answer's place and the stream goes
        on. `requests` is drawn from in another thread.
        """
        feed = _Feed(requests)
        answers = self._connection.exchange(calls.STREAM_PATH, iter(feed), timeout, metadata)
        with closing(answers):
            for data in answers:
                reply = calls.read_stream_reply(data)
                if isinstance(reply, FastserveError) and not return_exceptions:
                    raise reply
                yield reply
        if feed.error is not None:
            raise feed.error

    def feedback(
        self, model: str, labels: Labels, *, timeout: float | None = None
    ) -> FeedbackResult:
        """Tells a fastserve what was true of earlier requests, by their id; what became of each.

        `labels`: `{"order-17": 1}`, with a list where a request had several rows, or `Label`s.
        One that cannot be used raises nothing: its outcome says so. A label that is sent again by a
        retry is a duplicate, and counts once.
        """
        return self._connection.run(feedback.send_call(model, labels), timeout)

    def feedback_many(
        self, model: str, labels: Labels, *, timeout: float | None = None
    ) -> FeedbackSummary:
        """The same for any number of labels, over one stream; a summary at its end.

        `labels` is drawn from in another thread, as fast as the server takes them.
        """
        messages = feedback.messages(model, labels)
        return self._connection.upload(
            feedback.SEND_MANY_PATH, messages, feedback.parse_summary, timeout
        )

    def show_quality(
        self,
        model: str = "",
        *,
        version: int = 0,
        window_seconds: int = 0,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """How good a fastserve's versions are, by what labels said; one dict for each model.

        Names are those of proto/fastserve_feedback.proto. Of all models with labels without
        `model`, of all versions with `version` 0; `window_seconds` 0 is what `model.toml` has
        judged. Needs an operator's token where there are tokens.
        """
        return self._connection.run(feedback.quality_call(model, version, window_seconds), timeout)

    def live(self, *, timeout: float | None = None) -> bool:
        """The server's process answers."""
        return self._connection.run(calls.server_live(), timeout)

    def ready(self, *, timeout: float | None = None) -> bool:
        """The server can answer inferences."""
        return self._connection.run(calls.server_ready(), timeout)

    def model_ready(self, model: str, version: str = "", *, timeout: float | None = None) -> bool:
        """The model, or that version of it, can answer."""
        return self._connection.run(calls.model_ready(model, version), timeout)

    def server_metadata(self, *, timeout: float | None = None) -> ServerMetadata:
        return self._connection.run(calls.server_metadata(), timeout)

    def model_metadata(
        self, model: str, version: str = "", *, timeout: float | None = None
    ) -> ModelMetadata:
        return self._connection.run(calls.model_metadata(model, version), timeout)

    def model_config(
        self, model: str, version: str = "", *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Triton's ModelConfig as a dict under the names of its .proto."""
        return self._connection.run(calls.model_config(model, version), timeout)

    def model_statistics(
        self, model: str = "", version: str = "", *, timeout: float | None = None
    ) -> list[dict[str, Any]]:
        """Counts and times of each version, one dict each; of all models without a name."""
        return self._connection.run(calls.model_statistics(model, version), timeout)

    def repository_index(
        self, *, ready_only: bool = False, timeout: float | None = None
    ) -> list[IndexEntry]:
        """Every model version that the server knows, with its state and the reason of it."""
        return self._connection.run(calls.repository_index(ready_only=ready_only), timeout)

    def health(self, service: str = "", *, timeout: float | None = None) -> str:
        """SERVING or NOT_SERVING, from grpc.health.v1; ModelNotFound for an unknown service."""
        return self._connection.run(calls.health(service), timeout)

    def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Feed:
    """The bytes of requests. An error while drawing ends the sending and is kept for the reader."""

    def __init__(self, requests: Iterable[InferRequest]) -> None:
        self._requests = requests
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for request in self._requests:
                yield request.serialize()
        except Exception as error:  # noqa: BLE001 - the caller's own generator: raised in the reader
            self.error = error
