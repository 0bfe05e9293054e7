"""The columns of a Parquet file of captured requests: one row for each row of a request.

A tensor is a column of its own name. One element a row is a plain value, several are a list of
fixed size, and where the number differs from request to request a list with the rows' shapes beside
it (`NAME.shape`). What is known of a request stands in columns that begin with `_`.

Columns only ever widen: when a request does not fit the columns of the file being written, the file
is finished, and the next one has columns that fit both.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fastserve.observe.capture_pieces import Key, Piece, Sample, Values

FORMAT: Final = "1"
LABEL: Final = "_label"
LABEL_TIME: Final = "_label_time"

TIME_TYPE: Final = pa.timestamp("us", tz="UTC")
_REQUEST_FIELDS: Final[tuple[tuple[str, pa.DataType], ...]] = (
    ("_id", pa.string()),
    ("_row", pa.int32()),
    ("_time", TIME_TYPE),
    ("_version", pa.int64()),
    ("_route", pa.string()),
    ("_queue_ns", pa.int64()),
    ("_compute_ns", pa.int64()),
    ("_total_ns", pa.int64()),
)
REQUEST_COLUMNS: Final = tuple(name for name, _ in _REQUEST_FIELDS)
_RESERVED: Final = {*REQUEST_COLUMNS, LABEL, LABEL_TIME}

_ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "BOOL": pa.bool_(),
    "UINT8": pa.uint8(), "UINT16": pa.uint16(), "UINT32": pa.uint32(), "UINT64": pa.uint64(),
    "INT8": pa.int8(), "INT16": pa.int16(), "INT32": pa.int32(), "INT64": pa.int64(),
    # Parquet's half floats are read by few; a float32 has every value of both.
    "FP16": pa.float32(), "BF16": pa.float32(), "FP32": pa.float32(), "FP64": pa.float64(),
}  # fmt: skip


class Column(msgspec.Struct, frozen=True):
    """One tensor in a file."""

    name: str
    datatype: str
    # Of one row; None where it differs.
    shape: tuple[int, ...] | None
    # Where the shape differs: of the most axes so far.
    rank: int
    is_text: bool
    is_hashed: bool
    dropped: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Of one row; -1 where that differs."""
        return -1 if self.shape is None else math.prod(self.shape)

    @property
    def value_type(self) -> pa.DataType:
        if self.is_text:
            return pa.string()
        return _ARROW_TYPES.get(self.datatype, pa.binary())

    @property
    def type(self) -> pa.DataType:
        if self.elements == 1:
            return self.value_type
        # A list of fixed size 0 is nothing that readers know.
        size = self.elements if self.elements > 0 else -1
        return pa.list_(self.value_type, size)

    @property
    def has_shapes(self) -> bool:
        return self.shape is None and self.rank > 1

    def widened(self, piece: Piece) -> "Column":
        """Itself where `piece` fits. Errors: ValueError for another datatype."""
        if piece.datatype != self.datatype or piece.is_hashed != self.is_hashed:
            raise ValueError(f"{self.name}: is {piece.datatype}, was {self.datatype} before")
        is_fitting = self.shape is None and len(piece.row_shape) <= self.rank
        if (is_fitting or self.shape == piece.row_shape) and piece.is_text >= self.is_text:
            return self
        return msgspec.structs.replace(
            self,
            shape=self.shape if self.shape == piece.row_shape else None,
            rank=max(self.rank, len(piece.row_shape)),
            is_text=self.is_text and piece.is_text,
        )


Columns: TypeAlias = Mapping[Key, Column]


def widen(columns: Columns, sample: Sample) -> Columns:
    """Columns that fit `sample` as well: `columns` themselves where they do already.

    Errors: ValueError for a tensor that changed its datatype.
    """
    changed: dict[Key, Column] | None = None
    for key, piece in sample.pieces.items():
        before = columns.get(key)
        after = None if before is None else before.widened(piece)
        if after is None or after is not before:
            # Nearly every sample fits: only then are they copied.
            changed = dict(columns) if changed is None else changed
            changed[key] = _column(changed, key, piece) if after is None else after
    return columns if changed is None else changed


def _column(columns: Columns, key: Key, piece: Piece) -> Column:
    is_input, name = key
    taken = _RESERVED | {column.name for column in columns.values()}
    taken |= {f"{column.name}.shape" for column in columns.values()}
    while name in taken or f"{name}.shape" in taken:
        name = f"{'input' if is_input else 'output'}:{name}"
    return Column(
        name=name,
        datatype=piece.datatype,
        shape=piece.row_shape,
        rank=len(piece.row_shape),
        is_text=piece.is_text,
        is_hashed=piece.is_hashed,
        dropped=piece.dropped,
    )


def make_schema(columns: Columns, metadata: Mapping[str, str]) -> pa.Schema:
    fields = [pa.field(name, kind) for name, kind in _REQUEST_FIELDS]
    for (is_input, tensor), column in columns.items():
        facts = {"tensor": tensor, "direction": "input" if is_input else "output"}
        facts["datatype"] = column.datatype
        if column.shape is not None:
            facts["shape"] = msgspec.json.encode(column.shape).decode()
        if column.is_hashed:
            facts["hashed"] = "hmac-sha256"
        if column.dropped:
            facts["dropped"] = msgspec.json.encode(column.dropped).decode()
        fields.append(pa.field(column.name, column.type, metadata=facts))
        if column.has_shapes:
            fields.append(pa.field(f"{column.name}.shape", pa.list_(pa.int64())))
    return pa.schema(fields, metadata={"fastserve.capture.format": FORMAT, **metadata})


def make_table(columns: Columns, samples: Sequence[Sample], schema: pa.Schema) -> pa.Table:
    """`samples` in the columns that they fit."""
    rows = np.array([sample.rows for sample in samples])
    arrays = _request_arrays(samples, rows)
    for key, column in columns.items():
        pieces = [sample.pieces.get(key) for sample in samples]
        arrays.append(_array(column, pieces, rows))
        if column.has_shapes:
            shapes = [
                None if piece is None else list(piece.row_shape)
                for piece, count in zip(pieces, rows, strict=True)
                for _ in range(count)
            ]
            arrays.append(pa.array(shapes, pa.list_(pa.int64())))
    return pa.Table.from_arrays(arrays, schema=schema)


def _request_arrays(samples: Sequence[Sample], rows: npt.NDArray[Any]) -> list[pa.Array]:
    requests = [sample.request for sample in samples]
    each: tuple[list[Any], ...] = (
        [request.id or None for request in requests],
        [request.time_ns // 1000 for request in requests],
        [request.version for request in requests],
        [request.route or None for request in requests],
        [request.queue_ns for request in requests],
        [request.compute_ns for request in requests],
        [request.total_ns for request in requests],
    )
    kinds = [kind for name, kind in _REQUEST_FIELDS if name != "_row"]
    places = pa.array(np.repeat(np.arange(len(samples)), rows))
    arrays = [pc.take(pa.array(one, kind), places) for one, kind in zip(each, kinds, strict=True)]
    within = np.concatenate([np.arange(count, dtype=np.int32) for count in rows])
    arrays.insert(1, pa.array(within))
    return arrays


def _array(column: Column, pieces: Sequence[Piece | None], rows: npt.NDArray[Any]) -> pa.Array:
    """Rows of requests without the tensor are null."""
    absent = np.repeat([piece is None for piece in pieces], rows)
    counts = np.repeat([_count(column, piece) for piece in pieces], rows)
    values = _flat(column, pieces, rows)
    if column.elements == 1:
        is_dropped = 0 in column.dropped
        return pa.array(values, column.value_type, mask=absent | is_dropped)
    mask = None
    if column.dropped:
        places = np.concatenate([np.arange(count) for count in counts] or [np.empty(0)])
        mask = np.isin(places, column.dropped)
    flat = pa.array(values, column.value_type, mask=mask)
    missing = pa.array(absent)
    if column.elements > 0:
        return pa.FixedSizeListArray.from_arrays(flat, column.elements, mask=missing)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=missing)


def _count(column: Column, piece: Piece | None) -> int:
    """Elements of a row; a missing row of fixed size takes its place all the same."""
    if piece is None:
        return max(0, column.elements)
    return math.prod(piece.row_shape)


def _flat(column: Column, pieces: Sequence[Piece | None], rows: npt.NDArray[Any]) -> Values:
    """All values of the column, one after another."""
    is_numeric = not column.is_text and column.datatype in _ARROW_TYPES
    if not is_numeric:
        empty = "" if column.is_text else b""
        flat: list[Any] = []
        for piece, count in zip(pieces, rows, strict=True):
            if piece is None:
                flat.extend([empty] * (int(count) * max(0, column.elements)))
            elif column.is_text:
                flat.extend(v.decode() if isinstance(v, bytes) else v for v in piece.values)
            else:
                flat.extend(piece.values)
        return flat
    kind = column.value_type.to_pandas_dtype()
    parts: list[npt.NDArray[Any]] = [
        np.zeros(int(count) * max(0, column.elements), kind)
        if piece is None
        else np.asarray(piece.values)
        for piece, count in zip(pieces, rows, strict=True)
    ]
    return np.concatenate(parts)
