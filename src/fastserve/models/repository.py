"""The repository on disk: `<repo>/<model>/<version>/model.onnx`, `<repo>/<model>/model.toml`.

A scan reads names only. What it cannot take is reported with its reason, never skipped in silence
and never repaired. Nothing outside the repository's folder is ever opened: links may point about
inside it (as Kubernetes volumes do), links that leave it are refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from fastserve.errors import InvalidConfig, quoted
from fastserve.models.fingerprint import Fingerprint, fingerprint
from fastserve.models.model_settings import ModelSettings, read_settings_of_model

MODEL_FILE: Final = "model.onnx"
SETTINGS_FILES: Final = ("model.toml", "config.pbtxt")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,254}")
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_MAX_NUMBER: Final = (1 << 63) - 1
_NAME_RULE: Final = (
    "is not a model name: expected letters, digits, '_', '.' and '-', "
    "at most 255, the first a letter, a digit or '_'"
)


class FoundVersion(msgspec.Struct, frozen=True):
    """A version's folder. `problem` is empty when it may be read."""

    number: int
    path: Path
    problem: str = ""


class FoundModel(msgspec.Struct, frozen=True):
    """A model's folder; versions ascend by number. `problem` is empty when versions were found."""

    name: str
    folder: Path
    versions: tuple[FoundVersion, ...]
    problem: str = ""

    @property
    def newest(self) -> FoundVersion | None:
        return self.versions[-1] if self.versions else None


class Scan(msgspec.Struct, frozen=True):
    """What a repository holds. `problems` are (path inside the repository, reason)."""

    models: tuple[FoundModel, ...]
    problems: tuple[tuple[str, str], ...]


def scan_repository(root: Path) -> Scan:
    """Models by name, and whatever else lies there with the reason why it is not served.

    Errors: InvalidConfig when the folder itself cannot be read.
    """
    real_root = root.resolve()
    models: list[FoundModel] = []
    problems: list[tuple[str, str]] = []
    try:
        entries = list(_visible(root))
    except OSError as error:
        raise InvalidConfig(f"repository {str(root)!r} cannot be read: {error.strerror}") from error
    for entry in entries:
        if not entry.is_dir():
            if entry.is_symlink():
                problems.append((entry.name, "is a link to nothing that could be a model's folder"))
            continue
        problem = _name_problem(entry, real_root)
        if problem:
            problems.append((entry.name, problem))
            continue
        models.append(_scan_model(entry, real_root, problems))
    return Scan(models=tuple(models), problems=tuple(problems))


# Of each file that may configure a model: name, size, time of change, inode.
SettingsSight = tuple[tuple[str, int, int, int], ...]


class Repository:
    """The folder, asked anew each time. Thread: any; everything here reads the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def scan(self) -> Scan:
        """Errors: InvalidConfig when the folder itself cannot be read."""
        return scan_repository(self.root)

    def find(self, name: str) -> FoundModel | None:
        """The model of that name, None when there is none that could be one."""
        real_root = self.root.resolve()
        folder = self.root / name
        if not _NAME.fullmatch(name) or not folder.is_dir() or _name_problem(folder, real_root):
            return None
        return _scan_model(folder, real_root, [])

    def read_settings(self, found: FoundModel) -> ModelSettings:
        """The model's configuration. Errors: InvalidConfig with file, place and fix."""
        return read_settings_of_model(found.folder, self.root)

    def sight_settings(self, folder: Path) -> SettingsSight:
        """Changes when the model's configuration does. Opens nothing."""
        found: list[tuple[str, int, int, int]] = []
        for name in SETTINGS_FILES:
            try:
                status = (folder / name).stat()
            except OSError:
                continue
            found.append((name, status.st_size, status.st_mtime_ns, status.st_ino))
        return tuple(found)

    def fingerprint(self, folder: Path) -> Fingerprint:
        """Changes when anything in the version's folder does."""
        return fingerprint(folder, self.root)


def check_model_name(name: str) -> None:
    """Errors: InvalidConfig when no folder of that name would be a model."""
    if not _NAME.fullmatch(name):
        raise InvalidConfig(f"{quoted(name)} {_NAME_RULE}")


def check_version_number(number: int) -> None:
    """Errors: InvalidConfig when no folder of that name would be a version."""
    if not 1 <= number <= _MAX_NUMBER:
        raise InvalidConfig(f"version {number}: expected a number from 1 to {_MAX_NUMBER}")


def parse_version_folder(name: str) -> int | None:
    """The number of a version's folder; None when the name is none."""
    if not _NUMBER.fullmatch(name) or int(name) > _MAX_NUMBER:
        return None
    return int(name)


def file_bytes(folder: Path) -> int:
    """Of all files directly in a version's folder; 0 when it cannot be read now."""
    try:
        return sum(path.stat().st_size for path in _visible(folder) if path.is_file())
    except OSError:
        return 0


def _scan_model(folder: Path, root: Path, problems: list[tuple[str, str]]) -> FoundModel:
    versions: list[FoundVersion] = []
    try:
        entries = list(_visible(folder))
    except OSError as error:
        return FoundModel(folder.name, folder, (), f"cannot be read: {error.strerror}")
    for entry in entries:
        place = f"{folder.name}/{entry.name}"
        if not entry.is_dir():
            if entry.name == MODEL_FILE:
                problems.append((place, f"lies beside the versions: move it to 1/{MODEL_FILE}"))
            continue
        if parse_version_folder(entry.name) is None:
            if entry.name.isdigit() or entry.name.startswith("-"):
                problems.append(
                    (place, "is not a version: expected a positive integer without zeros in front")
                )
            continue
        is_inside = entry.resolve().is_relative_to(root)
        problem = "" if is_inside else "leads out of the repository"
        versions.append(FoundVersion(int(entry.name), entry, problem))
    return FoundModel(
        name=folder.name,
        folder=folder,
        versions=tuple(sorted(versions, key=lambda version: version.number)),
        problem="" if versions else f"has no version: expected a folder such as 1/{MODEL_FILE}",
    )


def _name_problem(entry: Path, root: Path) -> str:
    if not _NAME.fullmatch(entry.name):
        return _NAME_RULE
    if not entry.resolve().is_relative_to(root):
        return "leads out of the repository"
    return ""


def _visible(folder: Path) -> Iterator[Path]:
    """Entries by name. Hidden ones are somebody's work in progress and not ours to judge."""
    return iter(sorted(path for path in folder.iterdir() if not path.name.startswith(".")))
