"""ModelInfer and ModelStreamInfer for transports that bring bytes to the event loop.

The native transport answers these two in the core (csrc/fastserve/front/); this is the same
behaviour over the same entry of the engine, so that the two can be held against each other.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Final

from google.protobuf.message import DecodeError

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import FastserveError, from_status
from fastserve.rpc.calls import Calls
from fastserve.rpc.context import CallContext
from fastserve.rpc.inference import SERVICE
from fastserve.rpc.method_table import Method, service_methods
from fastserve.rpc.raw import RawAnswer, RawInference
from fastserve.rpc.varint import read_varint, varint_bytes

# Requests of one stream that may be under way: answers keep their order, so one slow request would
# otherwise let its followers pile up.
MAX_STREAM_IN_FLIGHT: Final = 256

_INFER_RESPONSE_TAG: Final = b"\x12"
_FIRST_FIELD_AFTER_ID: Final = 4
# parameters["triton_final_response"].bool_param = true; Triton marks every answer of a stream so.
_FINAL_RESPONSE: Final = pb.ModelInferResponse(
    parameters={"triton_final_response": pb.InferParameter(bool_param=True)}
).SerializeToString()


class RawInferenceServicer:
    """Thread: the event loop's."""

    def __init__(self, raw: RawInference, calls: Calls) -> None:
        self._raw = raw
        self._calls = calls

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE,
            {"ModelInfer": self.model_infer, "ModelStreamInfer": self.model_stream_infer},
            raw=frozenset({"ModelInfer", "ModelStreamInfer"}),
        )

    async def model_infer(self, request: bytes, context: CallContext) -> bytes:
        context.is_recorded_by_core = True
        origin = self._calls.origin(context, is_stream=False)
        answer = await self._raw.infer(request, context, origin)
        if answer.routed is not None:
            version, route = answer.routed
            context.add_trailer("fastserve-version", version)
            context.add_trailer("fastserve-route", route)
        return answer.message

    async def model_stream_infer(
        self, requests: AsyncIterator[bytes], context: CallContext
    ) -> AsyncIterator[bytes]:
        """Answers in the order of the requests.

        A refused request is an answer that says so; with the metadata `triton_grpc_error: true` it
        ends the stream with its status instead.
        """
        context.is_recorded_by_core = True
        origin = self._calls.origin(context, is_stream=True)
        ends_on_error = context.header("triton_grpc_error") == "true"
        loop = asyncio.get_running_loop()
        asked: deque[tuple[bytes, asyncio.Task[RawAnswer]]] = deque()
        iterator = aiter(requests)
        incoming: asyncio.Task[bytes | None] | None = loop.create_task(_next(iterator))
        try:
            while asked or incoming is not None:
                # The first answer that is due, or the next request, whichever comes first.
                waited = {task for task in (incoming, asked[0][1] if asked else None) if task}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if incoming is not None and incoming.done() and len(asked) < MAX_STREAM_IN_FLIGHT:
                    request = incoming.result()
                    incoming = None
                    if request is not None:
                        task = loop.create_task(self._raw.infer(request, context, origin))
                        asked.append((request, task))
                        incoming = loop.create_task(_next(iterator))
                while asked and asked[0][1].done():
                    request, task = asked.popleft()
                    yield _stream_answer(request, task, ends_on_error)
        finally:
            if incoming is not None:
                incoming.cancel()
            for _, unanswered in asked:
                unanswered.cancel()


async def _next(iterator: AsyncIterator[bytes]) -> bytes | None:
    return await anext(iterator, None)


def _stream_answer(request: bytes, task: "asyncio.Task[RawAnswer]", ends_on_error: bool) -> bytes:
    try:
        answer = task.result().message
    except FastserveError as error:
        if ends_on_error:
            raise from_status(error.code, error.message) from error
        return pb.ModelStreamInferResponse(
            error_message=error.message,
            infer_response=pb.ModelInferResponse(id=_request_id(request)),
        ).SerializeToString()
    place = _end_of_id(answer)
    body = b"".join((answer[:place], _FINAL_RESPONSE, answer[place:]))
    return b"".join((_INFER_RESPONSE_TAG, varint_bytes(len(body)), body))


def _request_id(request: bytes) -> str:
    try:
        return pb.ModelInferRequest.FromString(request).id
    except DecodeError:
        return ""


def _end_of_id(answer: bytes) -> int:
    """Where the fields after `id` begin: the core writes in order, and the first are strings."""
    place = 0
    while place < len(answer) and answer[place] >> 3 < _FIRST_FIELD_AFTER_ID:
        size, place = read_varint(answer, place + 1)
        place += size
    return place
