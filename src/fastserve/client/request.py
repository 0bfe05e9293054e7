"""The request of an inference and its bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.client.tensors import encode_tensor
from fastserve.errors import InvalidTensor

Parameter = bool | int | float | str

_RAW_TAG: Final = b"\x3a"  # field 7, raw_input_contents, length-delimited
_MAX_INT64: Final = (1 << 63) - 1
_MAX_UINT64: Final = (1 << 64) - 1
_MIN_INT64: Final = -(1 << 63)


@dataclass(slots=True, kw_only=True)
class InferRequest:
    """One inference: what `Client.infer` takes as arguments, as a value for streams.

    `outputs` None asks for all. `datatypes` names wire datatypes that a numpy dtype cannot tell:
    only BF16 in a uint16 array.
    """

    model: str
    inputs: Mapping[str, Any]
    version: str = ""
    outputs: Iterable[str] | None = None
    request_id: str = ""
    parameters: Mapping[str, Parameter] | None = None
    priority: int | None = None
    datatypes: Mapping[str, str] = field(default_factory=dict)

    def serialize(self) -> bytes:
        """The bytes of a ModelInferRequest. Tensor data is copied once, from array to message.

        Raises InvalidTensor with the name of the input or parameter.
        """
        message = pb.ModelInferRequest(
            model_name=self.model, model_version=str(self.version), id=self.request_id
        )
        if self.parameters:
            for name, value in self.parameters.items():
                _set_parameter(message.parameters[name], name, value)
        if self.priority is not None:
            if not 0 <= self.priority <= _MAX_UINT64:
                raise InvalidTensor(f"priority is {self.priority}, expected 0 or more")
            message.parameters["priority"].uint64_param = self.priority
        tail: list[Any] = [b""]
        for name, value in self.inputs.items():
            tensor = encode_tensor(name, value, self.datatypes.get(name))
            header = message.inputs.add()
            header.name = name
            header.datatype = tensor.datatype
            header.shape.extend(tensor.shape)
            tail += (_RAW_TAG, _varint(tensor.byte_count), tensor.data)
        for name in _check_outputs(self.outputs):
            message.outputs.add().name = name
        # Fields of a protobuf message may follow one another in any order, so that the raw contents
        # can be joined to the rest without passing through a message of their own.
        tail[0] = message.SerializeToString()
        return b"".join(tail)


def _check_outputs(outputs: Iterable[str] | None) -> Iterable[str]:
    if isinstance(outputs, str):
        raise InvalidTensor(f"outputs is the string {outputs!r}, expected a list of output names")
    return outputs or ()


def _set_parameter(slot: pb.InferParameter, name: str, value: Any) -> None:
    if isinstance(value, bool):
        slot.bool_param = value
    elif isinstance(value, int):
        if _MIN_INT64 <= value <= _MAX_INT64:
            slot.int64_param = value
        elif 0 <= value <= _MAX_UINT64:
            slot.uint64_param = value
        else:
            raise InvalidTensor(f"parameter {name!r} is {value}, expected a number of 64 bits")
    elif isinstance(value, float):
        slot.double_param = value
    elif isinstance(value, str):
        slot.string_param = value
    else:
        raise InvalidTensor(
            f"parameter {name!r} is {type(value).__name__}, expected bool, int, float or str"
        )


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
