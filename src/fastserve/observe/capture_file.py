"""One Parquet file while it is written: hidden until all of it is on the disk.

Thread: the writer's; everything here waits for the disk.
"""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fastserve.durable.replacement import sync_folder, write_all
from fastserve.observe.capture_folder import partial_path


class CaptureFile:
    """Begins the hidden file of `path`. Ends with `publish` or `abandon`. Errors: OSError."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self._partial = partial_path(path)
        self._sink = _Sink(self._partial)
        try:
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._sink, mode="w"), schema, compression="zstd"
            )
        except BaseException:
            self._sink.discard()
            raise

    @property
    def size_bytes(self) -> int:
        return self._sink.tell()

    def write(self, table: pa.Table) -> None:
        """As one row group. Errors: OSError; only `abandon` is left then."""
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def publish(self) -> None:
        """The file has its name, durably, when this returns. Errors: OSError; then there is none.

        The order is that of `fastserve.durable.replacement`.
        """
        try:
            self._writer.close()
            self._sink.sync()
            self._partial.rename(self.path)
        except BaseException:
            self.abandon()
            raise
        try:
            sync_folder(self.path.parent)
        except OSError:
            # A power cut may take it: so it was not captured, and is not there either.
            try:
                self.path.unlink()
            except OSError:
                # It stays, and so it counts.
                return
            raise

    def abandon(self) -> None:
        """Nothing of it is left. Raises nothing: what cannot be removed, the next start removes."""
        self._sink.discard()
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()


class _Sink(io.RawIOBase):
    """A new file that takes every write whole, or fails; after `discard` nothing is written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._offset = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def write(self, data: Any) -> int:
        # Bytes, or a buffer of Arrow's.
        view = memoryview(data)
        if self._descriptor >= 0:
            write_all(self._descriptor, bytes(view), self._offset)
        self._offset += view.nbytes
        return view.nbytes

    def sync(self) -> None:
        """Errors: OSError. The file is complete."""
        os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        self._close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
