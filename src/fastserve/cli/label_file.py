"""Labels in a file: CSV as it is, Parquet through pyarrow, read as they are sent."""

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from fastserve.client import Label
from fastserve.errors import InvalidConfig, quoted

# Of one request.
MOST_ROWS: Final = 65_536


def read_labels(path: Path, id_column: str, label_column: str) -> Iterator[Label]:
    """One label for each run of rows with the same id.

    Errors: InvalidConfig for a file that cannot be read so, with its line where there is one.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows = _read_csv(path, id_column, label_column)
    elif suffix in (".parquet", ".pq"):
        rows = _read_parquet(path, id_column, label_column)
    else:
        raise InvalidConfig(f"{path.name}: expected a file named .csv or .parquet")
    # Opened and looked at here: what is wrong with it is said before anything is sent.
    first = next(rows, None)
    if first is None:
        raise InvalidConfig(f"{path.name}: has no labels")
    return _grouped(itertools.chain([first], rows))


def _grouped(rows: Iterable[tuple[str, Any]]) -> Iterator[Label]:
    for request_id, some in itertools.groupby(rows, key=lambda row: row[0]):
        values = [value for _, value in itertools.islice(some, MOST_ROWS + 1)]
        if len(values) > MOST_ROWS:
            raise InvalidConfig(
                f"more than {MOST_ROWS:,} rows in a row have the id {quoted(request_id)}: "
                "is it the column of ids?"
            )
        yield Label(request_id, _alike(values))


def _alike(values: list[Any]) -> list[Any]:
    """All texts where one of them is: a column of texts may have some that look like numbers."""
    return [str(each) for each in values] if any(isinstance(v, str) for v in values) else values


def _read_csv(path: Path, id_column: str, label_column: str) -> Iterator[tuple[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            places = [_place(header, name, path) for name in (id_column, label_column)]
            for row in reader:
                if not row:
                    continue
                if len(row) <= max(places):
                    raise InvalidConfig(
                        f"{path.name} line {reader.line_num}: has {len(row)} columns, "
                        f"expected {len(header)}"
                    )
                yield row[places[0]], _value(row[places[1]])
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidConfig(f"{path.name} line {reader.line_num}: {error}") from None


def _read_parquet(path: Path, id_column: str, label_column: str) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise InvalidConfig(
            "reading Parquet needs pyarrow: pip install 'fastserve[capture]', or convert to .csv"
        ) from None
    try:
        with pq.ParquetFile(path) as file:
            for name in (id_column, label_column):
                _place(file.schema_arrow.names, name, path)
            for batch in file.iter_batches(columns=[id_column, label_column]):
                columns = batch.to_pydict()
                for request_id, value in zip(
                    columns[id_column], columns[label_column], strict=True
                ):
                    # NULL is no label: the server says so of this one.
                    yield str(request_id), float("nan") if value is None else value
    except pa.ArrowException as error:
        raise InvalidConfig(f"{path.name}: {error}") from None


def _place(header: list[str], name: str, path: Path) -> int:
    try:
        return header.index(name)
    except ValueError:
        known = ", ".join(header) or "none"
        raise InvalidConfig(
            f"{path.name}: has no column {quoted(name)}; it has {quoted(known)}"
        ) from None


def _value(text: str) -> int | float | str:
    """A number where the text is one."""
    text = text.strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or float("nan")
