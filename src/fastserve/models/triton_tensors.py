"""`input` and `output` of a ModelConfig: kept, and held against the graph once it is there.

The graph stays the truth about names, types and shapes; a configuration that says otherwise was
written for another graph and is refused. Of it, only `reshape` changes anything.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config import MAX_RANK, TensorConfig
from fastserve.models.triton_lines import FieldPath
from fastserve.models.triton_reading import Reading

_ROWS: Final = -1


class GraphTensor(Protocol):
    """A tensor of the graph's signature; -1 where the request chooses."""

    @property
    def name(self) -> str: ...
    @property
    def datatype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class TensorDeclaration(msgspec.Struct, frozen=True):
    """A tensor as the configuration declares it; dims leave the rows out where there are any."""

    name: str
    # The wire's name: "FP32", "BYTES"; empty when the configuration leaves it to the graph.
    datatype: str
    # None: left to the graph.
    dims: tuple[int, ...] | None
    reshape: tuple[int, ...] | None
    optional: bool
    # For messages: "config.pbtxt:9: input[0]".
    place: str

    @property
    def graph_dims(self) -> tuple[int, ...] | None:
        """What the graph must have."""
        return self.dims if self.reshape is None else self.reshape


class Declarations(msgspec.Struct, frozen=True):
    """All tensors of one configuration."""

    inputs: tuple[TensorDeclaration, ...]
    outputs: tuple[TensorDeclaration, ...]

    @property
    def tensors(self) -> dict[str, TensorConfig]:
        """`[tensors]`: those whose shape differs between clients and graph."""
        return {
            each.name: TensorConfig(shape=each.dims, reshape=each.reshape)
            for each in (*self.inputs, *self.outputs)
            if each.reshape is not None
        }


def wire_datatype(number: int) -> str:
    """The protocol's name of a DataType: "FP32", "BYTES"; empty for TYPE_INVALID."""
    name = pb.DataType.Name(pb.DataType.ValueType(number)).removeprefix("TYPE_")
    return {"STRING": "BYTES", "INVALID": ""}.get(name, name)


def read_tensors(reading: Reading) -> Declarations:
    """Errors: InvalidConfig when a name is missing or taken, or a shape makes no sense."""
    found = Declarations(
        inputs=_declarations(reading, "input", reading.message.input),
        outputs=_declarations(reading, "output", reading.message.output),
    )
    # A graph may hand an input on as an output; [tensors] has one entry for both.
    inputs = {each.name: each for each in found.inputs}
    for place, each in enumerate(found.outputs):
        twin = inputs.get(each.name, each)
        is_reshaped = (twin.reshape, each.reshape) != (None, None)
        if is_reshaped and (twin.dims, twin.reshape) != (each.dims, each.reshape):
            raise reading.refused(
                ("output", place), f"is also an input, {quoted(each.name)}, of another reshape"
            )
    return found


def compare_declarations(
    declared: Declarations,
    inputs: Sequence[GraphTensor],
    outputs: Sequence[GraphTensor],
    *,
    has_rows: bool,
) -> list[str]:
    """What the configuration says otherwise than the graph; empty when they agree.

    `has_rows`: max_batch_size is above 0, so the graph has an axis of rows that dims leave out.
    """
    problems: list[str] = []
    for each in declared.inputs:
        is_there = any(tensor.name == each.name for tensor in inputs)
        if is_there or not each.optional:
            problems += _compare(each, inputs, "input", has_rows=has_rows)
    for each in declared.outputs:
        problems += _compare(each, outputs, "output", has_rows=has_rows)
    if declared.inputs:
        names = {each.name for each in declared.inputs}
        problems += [
            f"{declared.inputs[0].place}: the graph also has input {quoted(tensor.name)}, "
            "which is not listed"
            for tensor in inputs
            if tensor.name not in names
        ]
    return problems


def note_optional(
    declared: Iterable[TensorDeclaration], inputs: Sequence[GraphTensor]
) -> list[str]:
    """What becomes of inputs that are declared optional: ONNX graphs have none that are.

    An input that a graph gives a value of its own is no input of a session.
    """
    names = {tensor.name for tensor in inputs}
    return [
        f"{each.place}.optional: the graph needs {quoted(each.name)}: a request without it is "
        "refused"
        if each.name in names
        else f"{each.place}.optional: the graph takes no {quoted(each.name)}: a request with it "
        "is refused"
        for each in declared
        if each.optional
    ]


def _declarations(
    reading: Reading, field: str, messages: Iterable[pb.ModelInput | pb.ModelOutput]
) -> tuple[TensorDeclaration, ...]:
    seen: dict[str, TensorDeclaration] = {}
    for place, message in enumerate(messages):
        path: FieldPath = (field, place)
        if not message.name:
            raise reading.refused(path, "has no name")
        if message.name in seen:
            raise reading.refused((*path, "name"), f"{quoted(message.name)} is there already")
        seen[message.name] = _declaration(reading, path, message)
    return tuple(seen.values())


def _declaration(
    reading: Reading, path: FieldPath, message: pb.ModelInput | pb.ModelOutput
) -> TensorDeclaration:
    dims = tuple(message.dims) or None
    reshape = tuple(message.reshape.shape) if message.HasField("reshape") else None
    for where, values in (((*path, "dims"), dims), ((*path, "reshape", "shape"), reshape)):
        if len(values or ()) > MAX_RANK:
            raise reading.refused(where, f"has {len(values or ())} axes, more than {MAX_RANK}")
        for place, value in enumerate(values or ()):
            if value < _ROWS or not value:
                raise reading.refused((*where, place), f"got {value}, expected at least 1, or -1")
    if reshape is not None:
        try:
            TensorConfig(shape=dims, reshape=reshape)
        except InvalidConfig as error:
            why = error.message.removeprefix("reshape: ").replace("shape", "dims", 1)
            raise reading.refused((*path, "reshape"), why) from None
    return TensorDeclaration(
        name=message.name,
        datatype=wire_datatype(message.data_type),
        dims=dims,
        reshape=reshape,
        optional=isinstance(message, pb.ModelInput) and message.optional,
        place=reading.place(path),
    )


def _compare(
    declared: TensorDeclaration, tensors: Sequence[GraphTensor], kind: str, *, has_rows: bool
) -> list[str]:
    name = quoted(declared.name)
    found = next((tensor for tensor in tensors if tensor.name == declared.name), None)
    if found is None:
        names = ", ".join(quoted(tensor.name) for tensor in tensors) or "none"
        return [f"{declared.place}: the graph has no {kind} {name}; its {kind}s are: {names}"]
    problems = []
    if declared.datatype and declared.datatype != found.datatype:
        problems.append(
            f"{declared.place}.data_type: {kind} {name} is {found.datatype} in the graph, "
            f"not {declared.datatype}"
        )
    dims = declared.graph_dims
    if dims is not None and not _fits((_ROWS, *dims) if has_rows else dims, found.shape):
        rows = ", with the rows that max_batch_size adds" if has_rows else ""
        expected = list((_ROWS, *dims) if has_rows else dims)
        problems.append(
            f"{declared.place}.dims: {kind} {name} has shape {list(found.shape)} in the graph, "
            f"not {expected}{rows}"
        )
    return problems


def _fits(declared: tuple[int, ...], graph: tuple[int, ...]) -> bool:
    """What the graph leaves open may be declared narrower, never the other way."""
    return len(declared) == len(graph) and all(
        theirs in (_ROWS, ours) for ours, theirs in zip(declared, graph, strict=True)
    )
