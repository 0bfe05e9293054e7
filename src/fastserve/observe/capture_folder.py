"""The folder of captured requests: its names, what a crash left there, and its bound on the disk.

    <folder>/<model>/<version>/<time>.parquet     whole files, never changed
    <folder>/<model>/<version>/.<time>.partial    the one being written
    <folder>/<model>/labels/<time>.jsonl          labels that came back

A file has its name only when all of it is on the disk. The time in a name is that of the file's
beginning, in nanoseconds since 1970; no two are the same, so that all files sort by age.
"""

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from fastserve.durable.folder_lock import FolderLock
from fastserve.durable.replacement import sync_folder

LABELS: Final = "labels"
_NAME: Final = re.compile(r"[0-9]{19}\.(parquet|jsonl)")
_PARTIAL: Final = re.compile(r"\.[0-9]{19}\.partial")
# What a model's name and a folder's may share.
_SAFE: Final = "@+=,"


class StoredFile(msgspec.Struct, frozen=True):
    """A whole file of the folder."""

    path: Path
    size_bytes: int


class Recovery(msgspec.Struct, frozen=True):
    """What a start found of the files that were being written when the process before ended."""

    files: int = 0
    bytes: int = 0


class CaptureFolder:
    """Held by one process. Thread: the writer's; the counters any."""

    def __init__(self, root: Path, *, max_bytes: int, min_free_bytes: int) -> None:
        """Makes the folder, removes what a crash left. Errors: InvalidConfig when it is in use."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._lock = FolderLock(root)
        try:
            self.recovery = _remove_partial(root)
            files = sorted(_stored(root), key=lambda file: file.path.name)
        except BaseException:
            self._lock.close()
            raise
        # Oldest first.
        self._files = deque(files)
        self._bytes = sum(file.size_bytes for file in files)
        self._newest_ns = int(files[-1].path.stem) if files else 0
        self.removed_files = 0
        self.removed_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Of all whole files."""
        return self._bytes

    @property
    def file_count(self) -> int:
        return len(self._files)

    def new_file(self, place: Path, time_ns: int, ending: str) -> Path:
        """A name in `place` behind all others; its folder is there when this returns."""
        _make_folders(self.root, place)
        # Also when the clock was set back.
        self._newest_ns = max(time_ns, self._newest_ns + 1)
        return place / f"{self._newest_ns:019d}.{ending}"

    def is_low(self) -> bool:
        """The disk has less space than has to stay free. Errors: OSError."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize < self._min_free_bytes

    def add(self, path: Path, size_bytes: int) -> None:
        """Counts a new whole file."""
        self._files.append(StoredFile(path, size_bytes))
        self._bytes += size_bytes

    def grow(self, path: Path, extra_bytes: int) -> None:
        """Counts what was appended to a file that was added before."""
        for place in range(len(self._files) - 1, -1, -1):
            file = self._files[place]
            if file.path == path:
                self._files[place] = StoredFile(path, file.size_bytes + extra_bytes)
                self._bytes += extra_bytes
                return

    def make_room(self, extra_bytes: int) -> None:
        """Removes the oldest until `extra_bytes` more stay within the bound. Errors: OSError."""
        while self._files and self._bytes + extra_bytes > self._max_bytes:
            file = self._files[0]
            file.path.unlink(missing_ok=True)
            self._files.popleft()
            self._bytes -= file.size_bytes
            self.removed_files += 1
            self.removed_bytes += file.size_bytes

    def close(self) -> None:
        self._lock.close()


def partial_path(path: Path) -> Path:
    """The hidden name of a file that is not whole yet."""
    return path.with_name(f".{path.stem}.partial")


def model_folder(root: Path, model: str) -> Path:
    """A model's name may hold what a file's may not."""
    name = quote(model, safe=_SAFE)
    return root / (name.replace(".", "%2E", 1) if name.startswith(".") else name)


def version_folder(root: Path, model: str, version: int) -> Path:
    return model_folder(root, model) / str(version)


def labels_folder(root: Path, model: str) -> Path:
    return model_folder(root, model) / LABELS


def list_models(root: Path) -> list[str]:
    """The models that something was captured of."""
    return sorted(unquote(path.name) for path in _folders(root))


def list_versions(root: Path, model: str) -> list[int]:
    names = (path.name for path in _folders(model_folder(root, model)))
    return sorted(int(name) for name in names if re.fullmatch(r"[0-9]{1,19}", name))


def list_files(place: Path) -> list[Path]:
    """Whole files of one folder, oldest first."""
    try:
        return sorted(path for path in place.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []


def _folders(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (path for path in place.iterdir() if path.is_dir() and path.name[0] != ".")


def _make_folders(root: Path, place: Path) -> None:
    """Durably: a file is not there after a crash if its folder is not."""
    for folder in reversed([place, *place.parents]):
        if root in folder.parents and not folder.is_dir():
            folder.mkdir(mode=0o700)
            sync_folder(folder.parent)


def _stored(root: Path) -> Iterator[StoredFile]:
    for model in _folders(root):
        for place in _folders(model):
            for path in list_files(place):
                yield StoredFile(path, path.stat().st_size)


def _remove_partial(root: Path) -> Recovery:
    """Files without an end are of no use: a Parquet file has its index at its end."""
    files = size = 0
    for model in _folders(root):
        for place in _folders(model):
            for path in place.iterdir():
                if _PARTIAL.fullmatch(path.name):
                    size += path.lstat().st_size
                    path.unlink()
                    files += 1
    return Recovery(files, size)
