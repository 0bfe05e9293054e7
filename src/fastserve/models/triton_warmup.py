"""`model_warmup` of a ModelConfig: requests to run before a version answers, kept as data."""

from typing import Final, Literal

import msgspec

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import quoted
from fastserve.model_config import file_name_problem
from fastserve.models.triton_lines import FieldPath, Key
from fastserve.models.triton_reading import Reading
from fastserve.models.triton_tensors import Declarations, wire_datatype

# A warm-up is for getting ready, not for filling memory or passing the day.
MAX_ELEMENTS: Final = 1 << 28
MAX_RUNS: Final = 10_000


class WarmupInput(msgspec.Struct, frozen=True):
    """One tensor of a warm-up request; dims leave the rows out where the model has any."""

    datatype: str
    dims: tuple[int, ...]
    kind: Literal["zero", "random", "file"]
    # In the model's folder warmup/: the raw bytes of one row.
    file: str = ""


class WarmupRequest(msgspec.Struct, frozen=True):
    """A request to run `count` times; each input is repeated to `batch_size` rows."""

    name: str
    batch_size: int
    count: int
    inputs: dict[str, WarmupInput]


def read_warmup(reading: Reading, declared: Declarations) -> tuple[WarmupRequest, ...]:
    """Errors: InvalidConfig when a request could not be made."""
    return tuple(
        _request(reading, ("model_warmup", place), message, declared)
        for place, message in enumerate(reading.message.model_warmup)
    )


def _request(
    reading: Reading, path: FieldPath, message: pb.ModelWarmup, declared: Declarations
) -> WarmupRequest:
    # 0 is what a field that was left out has, and stands for 1.
    most = max(1, reading.message.max_batch_size)
    rows = max(1, message.batch_size)
    reading.whole((*path, "batch_size"), rows, least=1, most=most)
    reading.whole((*path, "count"), message.count, least=0, most=MAX_RUNS)
    if not message.inputs:
        raise reading.refused(path, "has no inputs")
    known = [each.name for each in declared.inputs]
    inputs: dict[str, WarmupInput] = {}
    for name, tensor in sorted(message.inputs.items()):
        where = (*path, "inputs", Key(name))
        if known and name not in known:
            listed = ", ".join(map(quoted, known))
            raise reading.refused(where, f"there is no such input; listed are: {listed}")
        inputs[name] = _input(reading, where, tensor, rows)
    return WarmupRequest(
        name=message.name or f"model_warmup[{path[-1]}]",
        batch_size=rows,
        count=max(1, message.count),
        inputs=inputs,
    )


def _input(
    reading: Reading, path: FieldPath, message: pb.ModelWarmup.Input, rows: int
) -> WarmupInput:
    datatype = wire_datatype(message.data_type)
    if not datatype:
        raise reading.refused(path, "has no data_type")
    elements = rows
    for place, dim in enumerate(message.dims):
        reading.whole((*path, "dims", place), dim, least=0, most=MAX_ELEMENTS)
        elements *= dim
        if elements > MAX_ELEMENTS:
            raise reading.refused(
                (*path, "dims", place), f"has more than {MAX_ELEMENTS} elements with its rows"
            )
    dims, choice = tuple(message.dims), message.WhichOneof("input_data_type")
    if choice == "input_data_file":
        file = message.input_data_file
        problem = file_name_problem(file)
        if problem:
            raise reading.refused((*path, "input_data_file"), problem)
        return WarmupInput(datatype=datatype, dims=dims, kind="file", file=file)
    if choice == "random_data" and message.random_data:
        return WarmupInput(datatype=datatype, dims=dims, kind="random")
    if choice == "zero_data" and message.zero_data:
        return WarmupInput(datatype=datatype, dims=dims, kind="zero")
    raise reading.refused(
        path, "has no data: expected zero_data: true, random_data: true or input_data_file"
    )
