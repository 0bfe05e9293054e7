"""The answer to an inference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.client.failure import InvalidReply
from fastserve.client.raw_contents import MIN_BYTES, split_raw_contents
from fastserve.client.tensors import Array, decode_raw, decode_typed


class InferResult(Mapping[str, Array]):
    """Output arrays by name, in the model's order, with the version that really ran.

    Arrays are read-only views into the received message; take `.copy()` to write to one.
    BYTES outputs are object arrays of bytes.
    """

    __slots__ = ("_arrays", "datatypes", "id", "model", "parameters", "version")

    def __init__(
        self, message: pb.ModelInferResponse, raw: Sequence[bytes | memoryview] | None = None
    ) -> None:
        """`raw` are the raw outputs when they were taken out of `message`."""
        self.model = message.model_name
        self.version = message.model_version
        self.id = message.id
        self.parameters = read_parameters(message.parameters)
        self.datatypes: dict[str, str] = {}
        self._arrays: dict[str, Array] = {}
        raw = message.raw_output_contents if raw is None else raw
        if raw and len(raw) != len(message.outputs):
            raise InvalidReply(
                f"answer of model {self.model!r}: got {len(raw)} raw contents, expected one for "
                f"each of {len(message.outputs)} outputs"
            )
        for index, output in enumerate(message.outputs):
            name, datatype = output.name, output.datatype
            self.datatypes[name] = datatype
            if raw:
                self._arrays[name] = decode_raw(name, datatype, output.shape, raw[index])
            else:
                self._arrays[name] = decode_typed(name, datatype, output.shape, output.contents)

    def __getitem__(self, name: str) -> Array:
        try:
            return self._arrays[name]
        except KeyError:
            raise KeyError(
                f"output {name!r} is not in the answer of model {self.model!r}, it has: "
                f"{', '.join(self._arrays)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        tensors = ", ".join(
            f"{name}: {self.datatypes[name]}{list(array.shape)}"
            for name, array in self._arrays.items()
        )
        return f"<InferResult {self.model} version {self.version} {tensors}>"


def parse_result(data: bytes) -> InferResult:
    """The answer in the bytes of a ModelInferResponse. Raises InvalidReply."""
    rest, raw = data, None
    if len(data) >= MIN_BYTES and (found := split_raw_contents(data)):
        rest, raw = found
    try:
        message = pb.ModelInferResponse.FromString(rest)
    except DecodeError as error:
        raise InvalidReply(f"the answer is not a ModelInferResponse: {error}") from error
    return InferResult(message, raw)


def read_parameters(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Plain values of a map of parameters; None for one whose kind is not known here."""
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        values[name] = getattr(parameter, kind) if kind else None
    return values
