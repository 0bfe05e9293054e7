"""One blocking connection to a server: unary calls with retries, streams of answers."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import grpc

from fastserve.client.call import Call
from fastserve.client.channel import Metadata
from fastserve.client.failure import Failure
from fastserve.client.session import Session, seconds_left

T = TypeVar("T")


class Connection:
    """A channel that is made by the first call and kept. Errors: those of fastserve.client.

    Thread: any number of threads may share one connection.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        settings = session.settings
        credentials = settings.credentials()
        options = settings.options()
        self._channel = (
            grpc.insecure_channel(settings.target, options)
            if credentials is None
            else grpc.secure_channel(settings.target, credentials, options)
        )
        self._methods: dict[str, Any] = {}

    def run(self, call: Call[T], timeout: float | None, metadata: Metadata = ()) -> T:
        """The answer, after as many attempts as the session's policy allows."""
        session = self._session
        method = self._methods.get(call.path) or self._unary_method(call.path)
        sent = session.metadata(metadata)
        deadline = session.deadline(timeout)
        attempt = 0
        while True:
            attempt += 1
            try:
                data = method(
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
            time.sleep(wait)

    def stream(
        self,
        call: Call[T],
        timeout: float | None,
        metadata: Metadata = (),
        *,
        is_endless: bool = False,
    ) -> Generator[T, None, None]:
        """The answers of a server-streaming call as they come; not repeated when it fails.

        `timeout` bounds the whole stream. One that is endless has no deadline without it.
        """
        no_deadline = is_endless and timeout is None
        deadline = math.inf if no_deadline else self._session.deadline(timeout)
        method: Any = self._channel.unary_stream(call.path)
        answers = method(
            call.request,
            timeout=seconds_left(deadline),
            metadata=self._session.metadata(metadata),
            compression=self._session.compression,
        )
        try:
            for data in answers:
                yield call.read(data)
        except grpc.RpcError as error:
            raise self._session.error(Failure(error)) from error
        finally:
            answers.cancel()

    def upload(
        self,
        path: str,
        requests: Iterator[bytes],
        read: Callable[[bytes], T],
        timeout: float | None,
    ) -> T:
        """The answer to a stream of requests, which are drawn from in another thread."""
        method: Any = self._channel.stream_unary(path)
        problems: list[Exception] = []

        def drawn() -> Iterator[bytes]:
            # grpc says only that the stream was cut off.
            try:
                yield from requests
            except Exception as error:
                problems.append(error)
                raise

        try:
            data = method(
                drawn(),
                timeout=seconds_left(self._session.deadline(timeout)),
                metadata=self._session.metadata(()),
                compression=self._session.compression,
            )
        except grpc.RpcError as error:
            if problems:
                raise problems[0] from error
            raise self._session.error(Failure(error)) from error
        return read(data)

    def exchange(
        self, path: str, requests: Iterator[bytes], timeout: float | None, metadata: Metadata
    ) -> Generator[bytes, None, None]:
        """The answers of a stream both ways. `requests` is drawn from in another thread."""
        method = self._methods.get(path) or self._methods.setdefault(
            path, self._channel.stream_stream(path)
        )
        answers = method(
            requests,
            timeout=seconds_left(self._session.deadline(timeout)),
            metadata=self._session.metadata(metadata),
            compression=self._session.compression,
        )
        try:
            yield from answers
        except grpc.RpcError as error:
            raise self._session.error(Failure(error)) from error
        finally:
            answers.cancel()

    def close(self) -> None:
        """Closes the channel; calls in flight are cancelled."""
        self._channel.close()

    def _unary_method(self, path: str) -> Any:
        # No serializers: requests are bytes already, and an error while reading an answer is ours
        # to word, not INTERNAL.
        return self._methods.setdefault(path, self._channel.unary_unary(path))
