"""Warm-up requests that a config.pbtxt describes (`model_warmup`), as tensors to run."""

from collections.abc import Callable
from typing import Final

from fastserve._core import core
from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config import ModelConfig
from fastserve.models.datatypes import NUMPY_NAMES
from fastserve.models.triton_warmup import WarmupInput, WarmupRequest

# The same numbers at every load.
_SEED: Final = 1


def make_tensors(
    request: WarmupRequest,
    specs: tuple[core.TensorSpec, ...],
    config: ModelConfig,
    read_file: Callable[[str], bytes],
) -> list[tuple[tuple[int, ...], bytes]]:
    """Shape and raw bytes of each input in the signature's order.

    Errors: InvalidConfig when the request lacks an input, or a size is not known.
    """
    rows = request.batch_size if config.max_request_rows is not None else 0
    tensors: list[tuple[tuple[int, ...], bytes]] = []
    for spec in specs:
        given = request.inputs.get(spec.name)
        if given is None:
            raise InvalidConfig(f"warm-up {quoted(request.name)} lacks input {quoted(spec.name)}")
        dims = given.dims
        if min(dims, default=1) < 0:
            raise InvalidConfig(
                f"warm-up {quoted(request.name)}: input {quoted(spec.name)} has the shape "
                f"{list(dims)}, expected sizes"
            )
        shape = (rows, *dims) if rows else dims
        tensors.append((shape, _data(given, shape, max(1, rows), read_file)))
    return tensors


def _data(
    given: WarmupInput, shape: tuple[int, ...], rows: int, read_file: Callable[[str], bytes]
) -> bytes:
    count = 1
    for axis in shape:
        count *= axis
    if given.kind == "file":
        return read_file(given.file) * rows
    if given.datatype == "BYTES":
        return b"\0\0\0\0" * count
    if given.kind == "zero" or given.datatype not in NUMPY_NAMES:
        return bytes(count * _size(given.datatype))
    import numpy as np  # noqa: PLC0415 - only where a configuration asks for it

    dtype = np.dtype(NUMPY_NAMES[given.datatype])
    random = np.random.default_rng(_SEED)
    if dtype.kind == "f":
        return random.random(count).astype(dtype).tobytes()
    # Small numbers: ids beyond a table's end would fail the run.
    return random.integers(0, 2, count).astype(dtype).tobytes()


def _size(datatype: str) -> int:
    """Bytes of one element."""
    digits = datatype.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return int(digits) // 8 if digits else 1
