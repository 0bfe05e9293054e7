"""What a server says about itself and its models, as plain values."""

from collections.abc import Iterable, MutableMapping, MutableSequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from fastserve._proto import open_inference_grpc_pb2 as pb


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """Name, version and protocol extensions of a server."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """Signature of one input or output; -1 in the shape where the size may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """Versions and signature of a model. `properties` is empty where the server sends none."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One model version of the repository. `state` is READY, UNAVAILABLE, LOADING or UNLOADING."""

    name: str
    version: str
    state: str
    reason: str


def read_server(message: pb.ServerMetadataResponse) -> ServerMetadata:
    return ServerMetadata(message.name, message.version, tuple(message.extensions))


def read_model(message: pb.ModelMetadataResponse) -> ModelMetadata:
    return ModelMetadata(
        name=message.name,
        versions=tuple(message.versions),
        platform=message.platform,
        inputs=tuple(_read_tensor(tensor) for tensor in message.inputs),
        outputs=tuple(_read_tensor(tensor) for tensor in message.outputs),
        properties=dict(message.properties),
    )


def read_index(message: pb.RepositoryIndexResponse) -> list[IndexEntry]:
    return [
        IndexEntry(entry.name, entry.version, entry.state, entry.reason) for entry in message.models
    ]


def message_as_dict(message: Message) -> dict[str, Any]:
    """A message as plain values under the names of its .proto file.

    Scalars and lists are always there; messages and members of a oneof only when set; enums by
    name. Unlike protobuf's own JSON form, 64-bit integers stay integers.
    """
    values: dict[str, Any] = {}
    fields: Iterable[Any] = message.DESCRIPTOR.fields  # protobuf's types differ by its backend
    for field in fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if isinstance(value, MutableMapping):
            item = field.message_type.fields_by_name["value"]
            values[field.name] = {key: _as_plain(item, entry) for key, entry in value.items()}
        elif isinstance(value, MutableSequence):
            values[field.name] = [_as_plain(field, entry) for entry in value]
        else:
            values[field.name] = _as_plain(field, value)
    return values


def _read_tensor(tensor: pb.ModelMetadataResponse.TensorMetadata) -> TensorMetadata:
    return TensorMetadata(tensor.name, tensor.datatype, tuple(tensor.shape))


def _as_plain(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return message_as_dict(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    return value
