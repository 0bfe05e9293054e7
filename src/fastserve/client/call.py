"""The calls of the protocol as values: path, request bytes and how to read the answer.

The blocking and the asyncio client send the same calls and differ in how they wait.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message

from fastserve._proto import health_pb2, open_inference_grpc_pb2 as pb
from fastserve.client.failure import InvalidReply, RequestFailed
from fastserve.client.metadata import (
    IndexEntry,
    ModelMetadata,
    ServerMetadata,
    message_as_dict,
    read_index,
    read_model,
    read_server,
)
from fastserve.client.request import InferRequest
from fastserve.client.result import InferResult, parse_result
from fastserve.errors import FastserveError

T = TypeVar("T")

_SERVICE: Final = "/inference.GRPCInferenceService/"
INFER_PATH: Final = _SERVICE + "ModelInfer"
STREAM_PATH: Final = _SERVICE + "ModelStreamInfer"


class Call(NamedTuple, Generic[T]):
    """One unary call; `read` turns the answer's bytes into the value and raises InvalidReply."""

    path: str
    request: bytes
    read: Callable[[bytes], T]


def infer(request: InferRequest) -> Call[InferResult]:
    return Call(INFER_PATH, request.serialize(), parse_result)


def server_live() -> Call[bool]:
    return _call("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse, lambda m: m.live)


def server_ready() -> Call[bool]:
    return _call("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse, lambda m: m.ready)


def model_ready(model: str, version: str) -> Call[bool]:
    request = pb.ModelReadyRequest(name=model, version=str(version))
    return _call("ModelReady", request, pb.ModelReadyResponse, lambda m: m.ready)


def server_metadata() -> Call[ServerMetadata]:
    request = pb.ServerMetadataRequest()
    return _call("ServerMetadata", request, pb.ServerMetadataResponse, read_server)


def model_metadata(model: str, version: str) -> Call[ModelMetadata]:
    request = pb.ModelMetadataRequest(name=model, version=str(version))
    return _call("ModelMetadata", request, pb.ModelMetadataResponse, read_model)


def model_config(model: str, version: str) -> Call[dict[str, Any]]:
    request = pb.ModelConfigRequest(name=model, version=str(version))
    return _call(
        "ModelConfig", request, pb.ModelConfigResponse, lambda m: message_as_dict(m.config)
    )


def model_statistics(model: str, version: str) -> Call[list[dict[str, Any]]]:
    request = pb.ModelStatisticsRequest(name=model, version=str(version))
    return _call(
        "ModelStatistics",
        request,
        pb.ModelStatisticsResponse,
        lambda m: [message_as_dict(entry) for entry in m.model_stats],
    )


def repository_index(*, ready_only: bool) -> Call[list[IndexEntry]]:
    request = pb.RepositoryIndexRequest(ready=ready_only)
    return _call("RepositoryIndex", request, pb.RepositoryIndexResponse, read_index)


def health(service: str) -> Call[str]:
    status = health_pb2.HealthCheckResponse.ServingStatus
    return Call(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest(service=service).SerializeToString(),
        reader(health_pb2.HealthCheckResponse, lambda m: str(status.Name(m.status))),
    )


def read_stream_reply(data: bytes) -> InferResult | FastserveError:
    """One message of a stream: the answer, or the error of one request."""
    try:
        message = pb.ModelStreamInferResponse.FromString(data)
        if not message.error_message:
            return InferResult(message.infer_response)
    except DecodeError as error:
        return InvalidReply(f"the answer is not a ModelStreamInferResponse: {error}")
    except InvalidReply as error:
        return error
    return RequestFailed(message.error_message, request_id=message.infer_response.id)


def _call(method: str, request: Message, reply: type[Message], read: Callable[[Any], T]) -> Call[T]:
    return Call(_SERVICE + method, request.SerializeToString(), reader(reply, read))


def reader(reply: type[Message], read: Callable[[Any], T]) -> Callable[[bytes], T]:
    """What reads an answer's bytes as a `reply` and takes the value from it."""

    def parse(data: bytes) -> T:
        try:
            message = reply.FromString(data)
        except DecodeError as error:
            raise InvalidReply(f"the answer is not a {reply.DESCRIPTOR.name}: {error}") from error
        return read(message)

    return parse
