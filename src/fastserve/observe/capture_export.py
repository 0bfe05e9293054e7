"""Captured files of a model as one training set, Parquet or CSV, with the labels that came back.

It is written as it is read, row group by row group, so that neither memory nor disk hold it whole.
Files that are damaged, or removed meanwhile, are passed over and named. Thread: any; it waits for
the disk.
"""

import io
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from fastserve.errors import InvalidConfig, ModelNotFound, VersionNotFound, quoted
from fastserve.observe.capture_columns import LABEL, LABEL_TIME, REQUEST_COLUMNS, TIME_TYPE
from fastserve.observe.capture_folder import (
    labels_folder,
    list_files,
    list_models,
    list_versions,
    version_folder,
)
from fastserve.observe.label_index import LabelIndex

CHUNK_BYTES: Final = 1 << 20


class ExportQuery(msgspec.Struct, frozen=True):
    """What is wanted. Times are seconds since 1970; `until` itself is not in."""

    model: str
    # 0: all of them.
    version: int = 0
    since: float = 0.0
    until: float = 0.0
    with_labels: bool = False
    # Only rows that have one; implies with_labels.
    only_labelled: bool = False
    format: Literal["parquet", "csv"] = "parquet"


class ExportSummary(msgspec.Struct):
    """What an export gave."""

    rows: int = 0
    labelled_rows: int = 0
    files: int = 0
    # Each is one line for people: the file and what is wrong with it.
    skipped: list[str] = []


class Export:
    """`chunks` are the bytes of one file, in order; `summary` is complete behind the last.

    Errors: ModelNotFound and VersionNotFound when nothing was captured; InvalidConfig when two
    files cannot be in one table.
    """

    def __init__(self, root: Path, query: ExportQuery) -> None:
        self._root = root
        self._query = query
        self.summary = ExportSummary()

    def chunks(self) -> Generator[bytes, None, None]:
        files = self._sound_files()
        schema = _joint_schema([schema for _, schema in files])
        with LabelIndex(self._label_files()) as labels:
            if self._is_labelled:
                schema = schema.append(pa.field(LABEL, labels.type))
                schema = schema.append(pa.field(LABEL_TIME, TIME_TYPE))
            sink = io.BytesIO()
            writer = _writer(self._query.format, sink, schema)
            for path, _ in files:
                yield from self._copy(path, schema, labels, writer, sink)
            writer.close()
            yield from _take(sink, 1)

    @property
    def _is_labelled(self) -> bool:
        return self._query.with_labels or self._query.only_labelled

    def _label_files(self) -> Sequence[Path]:
        return list_files(labels_folder(self._root, self._query.model)) if self._is_labelled else ()

    def _copy(
        self, path: Path, schema: pa.Schema, labels: LabelIndex, writer: Any, sink: io.BytesIO
    ) -> Iterator[bytes]:
        try:
            with pq.ParquetFile(path, memory_map=False) as file:
                for group in range(file.num_row_groups):
                    table = self._chosen(file.read_row_group(group))
                    if self._is_labelled:
                        table = self._with_labels(table, labels)
                    if table.num_rows:
                        writer.write(_fitted(table, schema, self._query.format))
                        self.summary.rows += table.num_rows
                    yield from _take(sink, CHUNK_BYTES)
        except (OSError, pa.ArrowException) as error:
            # What was read of it before is sound: pages have checksums of their compression.
            self._skip(path, error)
            return
        self.summary.files += 1

    def _chosen(self, table: pa.Table) -> pa.Table:
        for compare, seconds in (
            (pc.greater_equal, self._query.since),
            (pc.less, self._query.until),
        ):
            if seconds:
                bound = pa.scalar(int(seconds * 1e6), pa.timestamp("us")).cast(TIME_TYPE)
                table = table.filter(compare(table["_time"], bound))
        return table

    def _with_labels(self, table: pa.Table, labels: LabelIndex) -> pa.Table:
        found, times = labels.find(table["_id"].to_pylist(), table["_row"].to_pylist())
        table = table.append_column(LABEL, found).append_column(LABEL_TIME, times)
        self.summary.labelled_rows += len(times) - times.null_count
        return table.filter(table[LABEL_TIME].is_valid()) if self._query.only_labelled else table

    def _sound_files(self) -> list[tuple[Path, pa.Schema]]:
        model, version = self._query.model, self._query.version
        if model not in list_models(self._root):
            raise ModelNotFound(f"nothing was captured of a model {quoted(model)}")
        versions = list_versions(self._root, model)
        if version and version not in versions:
            raise VersionNotFound(
                f"nothing was captured of version {version} of {quoted(model)}; there are "
                f"{', '.join(map(str, versions)) or 'none'}"
            )
        files = []
        for number in [version] if version else versions:
            for path in list_files(version_folder(self._root, model, number)):
                try:
                    files.append((path, pq.read_schema(path)))
                except (OSError, pa.ArrowException) as error:
                    self._skip(path, error)
        if not files:
            raise ModelNotFound(
                f"nothing was captured of {quoted(model)} that can be read"
                + "".join(f"; {line}" for line in self.summary.skipped[:3])
            )
        return files

    def _skip(self, path: Path, error: Exception) -> None:
        place = path.relative_to(self._root)
        self.summary.skipped.append(f"{place}: {' '.join(str(error).split())[:200]}")


def _joint_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Columns that fit all files: lists of one size and another become lists of any size."""
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            before = fields.get(field.name)
            kind = (
                field.type if before is None else _joint_type(field.name, before.type, field.type)
            )
            fields[field.name] = pa.field(field.name, kind, metadata=field.metadata)
    requests = [fields.pop(name) for name in REQUEST_COLUMNS if name in fields]
    return pa.schema([*requests, *fields.values()], metadata=schemas[-1].metadata)


def _joint_type(name: str, one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    if _is_list(one) or _is_list(other):
        values = [kind.value_type if _is_list(kind) else kind for kind in (one, other)]
        return pa.list_(_joint_type(name, *values))
    if {one, other} == {pa.string(), pa.binary()}:
        return pa.binary()
    raise InvalidConfig(
        f"column {quoted(name)} is {one} in one version and {other} in another: export one version "
        "at a time"
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def _fitted(table: pa.Table, schema: pa.Schema, format_name: str) -> pa.Table:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table[field.name].combine_chunks()
        if column.type != field.type:
            if not _is_list(column.type) and _is_list(field.type):
                column = pa.array([None if v is None else [v] for v in column.to_pylist()])
            column = column.cast(field.type)
        columns.append(column)
    fitted = pa.Table.from_arrays(columns, schema=schema)
    return _flat(fitted) if format_name == "csv" else fitted


def _flat(table: pa.Table) -> pa.Table:
    """As CSV has it: vectors as columns `x[0]`, `x[1]`; what has no fixed size as JSON."""
    names, columns = [], []
    for field in table.schema:
        column = table[field.name]
        if pa.types.is_fixed_size_list(field.type):
            for place in range(field.type.list_size):
                names.append(f"{field.name}[{place}]")
                columns.append(pc.list_element(column, place))
            continue
        if pa.types.is_list(field.type) or pa.types.is_binary(field.type):
            # Bytes as base64, which is how msgspec writes them.
            texts = [
                None if value is None else msgspec.json.encode(value).decode()
                for value in column.to_pylist()
            ]
            column = pa.chunked_array([pa.array(texts, pa.string())])
        names.append(field.name)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=names)


def _writer(format_name: str, sink: io.BytesIO, schema: pa.Schema) -> Any:
    if format_name == "csv":
        flat = _flat(schema.empty_table())
        return pa.csv.CSVWriter(pa.PythonFile(_Positioned(sink), mode="w"), flat.schema)
    return pq.ParquetWriter(pa.PythonFile(_Positioned(sink), mode="w"), schema, compression="zstd")


class _Positioned(io.RawIOBase):
    """Into a buffer that is emptied meanwhile, at places that count on."""

    def __init__(self, sink: io.BytesIO) -> None:
        super().__init__()
        self._sink = sink
        self._offset = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def write(self, data: Any) -> int:
        # Bytes, or a buffer of Arrow's.
        view = memoryview(data)
        self._sink.write(view)
        self._offset += view.nbytes
        return view.nbytes


def _take(sink: io.BytesIO, at_least: int) -> Iterator[bytes]:
    """What was written so far, in pieces, if it is so much."""
    if sink.tell() < at_least:
        return
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    for begin in range(0, len(data), CHUNK_BYTES):
        yield data[begin : begin + CHUNK_BYTES]
