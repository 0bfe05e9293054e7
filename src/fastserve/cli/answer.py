"""An inference's answer as a table, CSV or JSON."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

import click
import numpy as np

from fastserve.cli.screen import print_json, print_table
from fastserve.client import InferResult
from fastserve.client.tensors import Array

# An output with more values a row than this gets one cell in a table, not a column for each.
_MAX_COLUMNS: Final = 16
_MAX_CELL_CHARACTERS: Final = 60


def print_answer(result: InferResult, form: str, max_rows: int) -> None:
    """`form` is table, json or csv; `max_rows` bounds a table, 0 for all of them."""
    if form == "json":
        print_json(_as_json(result))
    elif form == "csv":
        _print_csv(result)
    else:
        _print_table(result, max_rows)


def _as_json(result: InferResult) -> dict[str, Any]:
    """The protocol's JSON form, with `data` nested as the shape says."""
    return {
        "model_name": result.model,
        "model_version": result.version,
        "id": result.id,
        "outputs": [
            {
                "name": name,
                "datatype": result.datatypes[name],
                "shape": list(array.shape),
                "data": _plain(array.tolist()),
            }
            for name, array in result.items()
        ],
    }


def _print_table(result: InferResult, max_rows: int) -> None:
    rows = _row_count(result)
    shown = rows if max_rows == 0 else min(rows, max_rows)
    columns = ["row"]
    cells = [[str(row)] for row in range(shown)]
    for name, array in result.items():
        for column, values in _spread(name, array, rows, _MAX_COLUMNS):
            columns.append(column)
            for row in range(shown):
                cells[row].append(_cell(values[row]))
    numeric = [
        column
        for column in columns
        if column == "row" or result.datatypes.get(column.partition("[")[0]) != "BYTES"
    ]
    noun = "row" if rows == 1 else "rows"
    print_table(
        columns,
        cells,
        title=f"model {result.model}, version {result.version}, {rows} {noun}",
        numeric=numeric,
    )
    if shown < rows:
        click.echo(f"... {rows - shown} more rows; --rows 0 shows all")


def _print_csv(result: InferResult) -> None:
    rows = _row_count(result)
    columns: list[str] = []
    series: list[Any] = []
    for name, array in result.items():
        for column, values in _spread(name, array, rows, None):
            columns.append(column)
            series.append(values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(_item(values[row])) for values in series] for row in range(rows))
    click.echo(text.getvalue(), nl=False)


def _row_count(result: InferResult) -> int:
    """The first axis where all outputs share it, else one row that holds everything."""
    firsts = {array.shape[0] if array.ndim else -1 for array in result.values()}
    return firsts.pop() if len(firsts) == 1 and min(firsts) >= 0 else 1


def _spread(
    name: str, array: Array, rows: int, most: int | None
) -> Iterator[tuple[str, list[Any] | Array]]:
    """Columns of an output: itself, or name[0], name[1], ... for several values a row."""
    if array.ndim == 0 or array.shape[0] != rows:
        yield name, [array]
        return
    width = int(np.prod(array.shape[1:]))
    if array.ndim == 1 or width == 1:
        yield name, array.reshape(rows)
    elif most is not None and width > most:
        yield name, array
    else:
        flat = array.reshape(rows, width)
        for index in range(width):
            yield f"{name}[{index}]", flat[:, index]


def _item(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _plain(value: Any) -> Any:
    """BYTES as text, escaped where it is no UTF-8; floats of ml_dtypes as Python's."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else float(value)


def _cell(value: Any) -> str:
    if isinstance(value, np.ndarray):
        shape = "x".join(map(str, value.shape))
        text = f"{shape}: {' '.join(_cell(item) for item in value.ravel()[:8])}"
        return text if value.size <= 8 else f"{text} ..."  # noqa: PLR2004 - as many as above
    if isinstance(value, np.floating | float):
        return f"{float(value):.6g}"
    text = str(_plain(_item(value)))
    return text if len(text) <= _MAX_CELL_CHARACTERS else f"{text[: _MAX_CELL_CHARACTERS - 3]}..."
