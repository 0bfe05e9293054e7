"""Labels of one model by request id, for a join: on the disk, however many there are."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import pyarrow as pa

from fastserve.decoding import decoder
from fastserve.observe.capture_columns import TIME_TYPE
from fastserve.observe.capture_labels import StoredLabel

# Parameters of one SELECT; SQLite's own bound was 999 for long.
_IDS_AT_ONCE: Final = 500
_EVERY_ROW: Final = -1
_TYPES: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "str": pa.string(),
}


class LabelIndex:
    """Of the labels of one id the one with the latest time counts. Lines that are none are passed.

    A label that is a list has one value for each row of its request; another one is that of every
    row. `type` is that of the labels' column: bool, int64, double or string, and string with JSON
    where values are of several kinds.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        # An empty name is a temporary file that only this connection knows. One thread after
        # another may use it, never two at once.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.execute(
            "CREATE TABLE labels (id TEXT, row INTEGER, label TEXT, kind TEXT, time REAL, "
            "PRIMARY KEY (id, row))"
        )
        for path in files:
            self._database.executemany(
                "INSERT INTO labels VALUES (?, ?, ?, ?, ?) ON CONFLICT (id, row) DO UPDATE SET "
                "label = excluded.label, kind = excluded.kind, time = excluded.time "
                "WHERE excluded.time >= time",
                _rows(path),
            )
        kinds = {row[0] for row in self._database.execute("SELECT DISTINCT kind FROM labels")}
        if kinds == {"int", "float"}:
            kinds = {"float"}
        self._is_json = len(kinds) != 1 or not kinds <= _TYPES.keys()
        self.type: pa.DataType = pa.string() if self._is_json else _TYPES[kinds.pop()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def find(self, ids: Sequence[str | None], rows: Sequence[int]) -> tuple[pa.Array, pa.Array]:
        """Label and time of each row of the request with that id; null where there is none."""
        wanted = sorted({one for one in ids if one})
        found: dict[tuple[str | None, int], tuple[Any, int]] = {}
        for begin in range(0, len(wanted), _IDS_AT_ONCE):
            some = wanted[begin : begin + _IDS_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT id, row, label, time FROM labels WHERE id IN ({marks})"  # noqa: S608
            for name, row, text, time in self._database.execute(query, some):
                value = text if self._is_json else msgspec.json.decode(text)
                found[name, row] = (value, round(time * 1e6))
        nothing = (None, None)
        each = [
            found.get((one, row)) or found.get((one, _EVERY_ROW)) or nothing
            for one, row in zip(ids, rows, strict=True)
        ]
        labels, times = [label for label, _ in each], [time for _, time in each]
        return pa.array(labels, self.type), pa.array(times, TIME_TYPE)


def _rows(path: Path) -> Iterator[tuple[str, int, str, str, float]]:
    """Errors of the disk are those of a file without labels: it was removed meanwhile."""
    try:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    one = decoder(StoredLabel).decode(line)
                except msgspec.DecodeError:
                    # The end of what a crash cut off.
                    continue
                is_list = isinstance(one.label, list)
                values = enumerate(one.label) if is_list else [(_EVERY_ROW, one.label)]
                for row, value in values:
                    text = msgspec.json.encode(value).decode()
                    yield one.id, row, text, type(value).__name__, one.time
    except OSError:
        return
