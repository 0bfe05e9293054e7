"""grpc.reflection, v1 and v1alpha: what this server offers, from its private descriptor pool.

The two versions have the same messages in two packages; one class answers both. Each question gets
an answer of its own: one that cannot be answered does not end the stream.

Source: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any, Final

from google.protobuf.descriptor import FileDescriptor

from fastserve._proto import POOL, reflection_pb2, reflection_v1alpha_pb2
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods

SERVICES: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
_NOT_FOUND: Final = 5
_INVALID_ARGUMENT: Final = 3


class ReflectionServicer:
    """Thread: the event loop's. `services` gives the full names of all that is served."""

    def __init__(self, services: Callable[[], list[str]]) -> None:
        self._services = services

    def methods(self) -> Iterator[Method]:
        for service, module in zip(SERVICES, (reflection_pb2, reflection_v1alpha_pb2), strict=True):
            yield from service_methods(
                service, {"ServerReflectionInfo": _Answerer(module, self._services).answer_all}
            )


class _Answerer:
    def __init__(self, messages: ModuleType, services: Callable[[], list[str]]) -> None:
        self._messages = messages
        self._services = services
        self._answers: dict[str, Callable[[Any, Any], None]] = {
            "file_by_filename": self._file_by_filename,
            "file_containing_symbol": self._file_containing_symbol,
            "file_containing_extension": self._file_containing_extension,
            "all_extension_numbers_of_type": self._extension_numbers,
            "list_services": self._list_services,
        }

    async def answer_all(
        self, requests: AsyncIterator[Any], _context: CallContext
    ) -> AsyncIterator[Any]:
        async for request in requests:
            response = self._messages.ServerReflectionResponse(
                valid_host=request.host, original_request=request
            )
            question = request.WhichOneof("message_request")
            try:
                if question is None:
                    _refuse(response, _INVALID_ARGUMENT, "the request asks nothing")
                else:
                    self._answers[question](getattr(request, question), response)
            except KeyError:
                _refuse(response, _NOT_FOUND, "not found")
            yield response

    def _file_by_filename(self, name: str, response: Any) -> None:
        _add_files(response, POOL.FindFileByName(name))

    def _file_containing_symbol(self, symbol: str, response: Any) -> None:
        try:
            file = POOL.FindFileContainingSymbol(symbol)
        except KeyError:
            # A method: the pool knows it by its service.
            service, _, method = symbol.rpartition(".")
            descriptor = POOL.FindServiceByName(service)
            file = descriptor.methods_by_name[method].containing_service.file
        _add_files(response, file)

    def _file_containing_extension(self, asked: Any, response: Any) -> None:
        extension: Any = POOL.FindExtensionByNumber(
            POOL.FindMessageTypeByName(asked.containing_type), asked.extension_number
        )
        _add_files(response, extension.file)

    def _extension_numbers(self, name: str, response: Any) -> None:
        extensions = POOL.FindAllExtensions(POOL.FindMessageTypeByName(name))
        answer = response.all_extension_numbers_response
        answer.base_type_name = name
        answer.extension_number.extend(sorted(extension.number for extension in extensions))

    def _list_services(self, _ignored: str, response: Any) -> None:
        answer = response.list_services_response
        answer.SetInParent()
        for name in self._services():
            answer.service.add(name=name)


def _refuse(response: Any, code: int, message: str) -> None:
    response.error_response.error_code = code
    response.error_response.error_message = message


def _add_files(response: Any, file: FileDescriptor) -> None:
    """The file and all that it imports, each once, the asked one first."""
    files = response.file_descriptor_response.file_descriptor_proto
    seen: set[str] = set()
    pending = [file]
    while pending:
        one = pending.pop()
        if one.name not in seen:
            seen.add(one.name)
            files.append(one.serialized_pb)
            pending += one.dependencies
