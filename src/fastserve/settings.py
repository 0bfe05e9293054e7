"""The server's settings and where each came from.

Four layers: the defaults, one `fastserve.toml`, the environment, the command line's flags. A
setting is taken from the last layer that names it, whole: lists are replaced, never merged. Each
layer is checked by itself, so that an error names the file, the variable or the flag that is wrong.

In every layer an address is text (`127.0.0.1:8001`, `[::1]:8001`, `unix:PATH`), and a size a number
of bytes or text with a unit (`512MiB`). Paths in the file start from the file's folder.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from fastserve.config import (
    Address,
    Settings,
    WebhookTarget,
    convert,
    decode_toml,
    parse_address,
    read_regular_file,
)
from fastserve.errors import InvalidConfig

FILE_NAME: Final = "fastserve.toml"
FILE_VARIABLE: Final = "FASTSERVE_CONFIG"
# What `fastserve serve` may be told on its command line, and the setting that it stands for.
FLAGS: Final[Mapping[str, str]] = {
    "REPOSITORY": "repository",
    "--state-dir": "state_dir",
    "--grpc": "listen.grpc",
    "--http": "listen.http",
    "--transport": "listen.transport",
    "--tls-cert": "security.certificate",
    "--tls-key": "security.key",
    "--tls-client-ca": "security.client_ca",
    "--token-file": "security.token_file",
    "--allow-insecure": "security.allow_insecure",
    "--io-threads": "threads.io_threads",
    "--executors": "threads.executors",
    "--max-message-bytes": "limits.max_message_bytes",
    "--watch": "lifecycle.watch",
    "--poll": "lifecycle.poll_seconds",
    "--explicit": "lifecycle.explicit",
    "--load-model": "lifecycle.load_models",
    "--settle-seconds": "lifecycle.settle_seconds",
    "--memory-budget": "lifecycle.memory_budget_bytes",
    "--audit-key-file": "audit.key_file",
    "--triton-metrics": "metrics.triton",
    "--drain-seconds": "drain_seconds",
}

_PREFIX: Final = "FASTSERVE_"
_MAX_FILE_BYTES: Final = 1 << 20
# Not settings of the server: the client's commands, the build, the tests.
_OTHER_VARIABLES: Final = frozenset({
    FILE_VARIABLE,
    "FASTSERVE_ACTOR", "FASTSERVE_ENDPOINT", "FASTSERVE_TOKEN",
    "FASTSERVE_DEBUG", "FASTSERVE_SANITIZE",
    "FASTSERVE_CODEC_EXAMPLES", "FASTSERVE_FUZZ_SECONDS", "FASTSERVE_ORT_LIBRARY",
    "FASTSERVE_TEST_DATA",
})  # fmt: skip
# Kubernetes gives every container of a namespace variables about each Service in it; those of one
# that is named fastserve, or fastserve-something, begin as ours do.
_KUBERNETES_VARIABLE: Final = re.compile(
    r"FASTSERVE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?)"
)
_KUBERNETES_PORT: Final = re.compile(r"(tcp|udp|sctp)://.*")

_UNITS: Final = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,18})\s*(?P<unit>[A-Za-z]*)")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_BOOLEANS: Final = {"true": True, "false": False}
_TOML_TABLE: Final = re.compile(r"\s*\[{1,2}\s*(?P<key>[^\[\]]+?)\s*\]{1,2}\s*(#.*)?")
_TOML_KEY: Final = re.compile(r"""\s*(?P<key>[\w."'\s-]+?)\s*=""")


class Given(msgspec.Struct, frozen=True):
    """What a layer says of one setting. `value` is what `fastserve.config.convert` takes."""

    value: object
    source: str


class Entry(msgspec.Struct, frozen=True):
    """One setting in force. `value` is plain, as JSON has it; files are named, never shown."""

    path: str
    value: object
    source: str


class SourcedSettings(msgspec.Struct, frozen=True):
    """Settings with the source of each, and the file that was read."""

    settings: Settings
    entries: tuple[Entry, ...]
    file: Path | None


def load_settings(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> SourcedSettings:
    """The settings of a server: `flags` over `environment` over `file` over the defaults.

    `flags` are those given, by their names in FLAGS. Combinations are not judged here, see
    `check_settings`. Errors: InvalidConfig with source, path, got, expected and nearest name.
    """
    given = read_layers(file, environment, flags)
    if "repository" not in given:
        raise InvalidConfig(
            "no repository: name it on the command line, as repository in fastserve.toml or as "
            "FASTSERVE_REPOSITORY"
        )
    return SourcedSettings(_settings(given), list_entries(given), file)


def find_settings_file(named: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read: `named`, else FASTSERVE_CONFIG's, else ./fastserve.toml where there is one.

    Errors: InvalidConfig for an empty FASTSERVE_CONFIG. A file that was named need not exist: that
    is said when it is read.
    """
    if named is not None:
        return named
    variable = environment.get(FILE_VARIABLE)
    if variable == "":
        raise InvalidConfig(f"environment {FILE_VARIABLE}: is empty: name a file or unset it")
    if variable is not None:
        return Path(variable)
    here = Path(FILE_NAME)
    return here if here.exists() else None


def read_layers(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> dict[str, Given]:
    """What is given, by path; later layers replace what earlier ones say. Errors: InvalidConfig."""
    given: dict[str, Given] = {}
    if file is not None:
        given.update(_read_file(file))
    given.update(_read_environment(environment))
    for flag, value in flags.items():
        path = FLAGS[flag]
        given[path] = Given(_checked(path, value, source=flag), flag)
    return given


def list_entries(given: Mapping[str, Given]) -> tuple[Entry, ...]:
    """Every setting with its value and source, in the order of `Settings`."""
    settings = _settings(given)
    has_repository = "repository" in given
    entries = []
    for path in leaves():
        value: object = reduce(getattr, path.split("."), settings)
        source = given[path].source if path in given else "default"
        if path == "repository" and not has_repository:
            value, source = None, "not set"
        elif path == "state_dir" and has_repository:
            value = settings.state_folder
        elif path == "listen.http" and value is None:
            value = "off"
        entries.append(Entry(path, _shown(value), source))
    return tuple(entries)


@cache
def leaves() -> Mapping[str, inspect.Type]:
    """Path and type of every setting, in the order of `Settings`."""
    return dict(_leaves_of(inspect.type_info(Settings), ""))


def variable_of(path: str) -> str:
    """The environment variable of a setting: limits.max_queue_rows has FASTSERVE_LIMITS__..."""
    return _PREFIX + path.replace(".", "__").upper()


def parse_size(text: str) -> int:
    """Bytes: `4096`, `512KiB`, `64MiB`, `2GiB`. Errors: InvalidConfig."""
    match = _SIZE.fullmatch(text)
    if match is None or match["unit"] not in _UNITS:
        raise InvalidConfig(
            f"expected bytes, as a number or with KiB, MiB, GiB or TiB, got {text[:80]!r}"
        )
    return int(match["number"]) * _UNITS[match["unit"]]


def _leaves_of(kind: inspect.Type, prefix: str) -> Iterator[tuple[str, inspect.Type]]:
    if not isinstance(kind, inspect.StructType) or kind.cls is Address:
        yield prefix.removesuffix("."), kind
        return
    for field in kind.fields:
        yield from _leaves_of(field.type, f"{prefix}{field.encode_name}.")


def _settings(given: Mapping[str, Given]) -> Settings:
    """With the current folder for a repository where none is given."""
    data: dict[str, Any] = {"repository": "."}
    for path, each in given.items():
        _put(data, path, each.value)
    return convert(data, Settings, source="settings")


def _put(data: dict[str, Any], path: str, value: object) -> None:
    *groups, name = path.split(".")
    for group in groups:
        data = data.setdefault(group, {})
    data[name] = value


def _shown(value: object) -> object:
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    if isinstance(value, Path):
        return _name_of(value)
    # Of a webhook's address its path and query may be secret.
    return str(value) if isinstance(value, Address | WebhookTarget) else value


def _name_of(path: Path) -> str:
    """Fit for JSON and protobuf, whatever bytes the path has."""
    return os.fsencode(path).decode(errors="replace")


# The file.


def _read_file(file: Path) -> Iterator[tuple[str, Given]]:
    name = _name_of(file)
    data = read_regular_file(file, name=name, max_bytes=_MAX_FILE_BYTES)
    table = _plain(
        decode_toml(data, name=name),
        inspect.type_info(Settings),
        place=f"{name}: ",
        folder=file.parent,
    )
    convert({"repository": "."} | table, Settings, source=name)
    lines = _find_lines(data.decode())
    for path, value in _flat(table, ""):
        yield path, Given(value, f"{name}{_line_suffix(lines, path)}")


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        path = prefix + key
        if path in leaves():
            yield path, value
        else:
            yield from _flat(value, f"{path}.")


def _find_lines(text: str) -> dict[str, int]:
    """The line of each key. By eye, as it were: TOML that hides keys in texts gets wrong ones."""
    lines: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.split("\n"), 1):
        if table := _TOML_TABLE.fullmatch(line):
            prefix = f"{_bare(table['key'])}."
            # Of a list of tables, where it begins.
            lines.setdefault(_bare(table["key"]), number)
        elif key := _TOML_KEY.match(line):
            lines.setdefault(prefix + _bare(key["key"]), number)
    return lines


def _bare(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _line_suffix(lines: Mapping[str, int], path: str) -> str:
    """Of the key, or of the inline table around it."""
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return f":{lines[path]}" if path else ""


# The environment.


def _read_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    paths = {variable_of(path): path for path in leaves()}
    for name, text in sorted(environment.items()):
        if not name.startswith(_PREFIX) or _is_foreign(name, text):
            continue
        source = f"environment {name}"
        path = paths.get(name)
        if path is None:
            nearest = difflib.get_close_matches(name, paths, n=1, cutoff=0.6)
            advice = f"did you mean {nearest[0]}?" if nearest else "unset it"
            raise InvalidConfig(f"{source}: no such setting; {advice}")
        kind = _main_type(leaves()[path])
        if not text and not isinstance(kind, inspect.VarTupleType):
            raise InvalidConfig(f"{source}: is empty: give a value or unset it")
        yield path, Given(_checked(path, _read_text(text, kind), source=source), source)


def _is_foreign(name: str, text: str) -> bool:
    if name in _OTHER_VARIABLES or _KUBERNETES_VARIABLE.fullmatch(name):
        return True
    return name.endswith("_PORT") and _KUBERNETES_PORT.fullmatch(text) is not None


def _read_text(text: str, kind: inspect.Type) -> object:
    """As the type wants it. What cannot be read stays text, which `convert` then refuses."""
    if isinstance(kind, inspect.VarTupleType):
        items = [item.strip() for item in text.split(",")] if text.strip() else []
        return [_read_text(item, _main_type(kind.item_type)) for item in items]
    if isinstance(kind, inspect.StructType) and kind.cls is WebhookTarget:
        return {"url": text}
    if isinstance(kind, inspect.BoolType):
        return _BOOLEANS.get(text, text)
    if isinstance(kind, inspect.IntType) and _INTEGER.fullmatch(text):
        return int(text)
    if isinstance(kind, inspect.FloatType) and _NUMBER.fullmatch(text):
        return float(text)
    return text


# Values as people write them.


def _checked(path: str, value: object, *, source: str) -> object:
    """`value` as `convert` takes it, refused here where the source is known."""
    plain = _plain(value, leaves()[path], place=f"{source}: {path}", folder=Path())
    data: dict[str, Any] = {"repository": "."}
    _put(data, path, plain)
    convert(data, Settings, source=source)
    return plain


def _plain(value: Any, kind: inspect.Type, *, place: str, folder: Path) -> Any:
    """`value` with addresses taken apart, sizes counted and paths from `folder`; else unchanged."""
    is_optional = isinstance(kind, inspect.UnionType)
    kind = _main_type(kind)
    if isinstance(kind, inspect.StructType):
        if kind.cls is Address:
            return None if is_optional and value == "off" else _address(value, place, folder)
        return _plain_group(value, kind, place=place, folder=folder)
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list | tuple):
        return [
            _plain(item, kind.item_type, place=f"{place}.{number}", folder=folder)
            for number, item in enumerate(value)
        ]
    if isinstance(kind, inspect.CustomType) and isinstance(value, str | Path):
        if not str(value) or "\0" in str(value):
            raise InvalidConfig(f"{place}: expected a path, got {str(value)!r}")
        return str(folder / value)
    is_size = isinstance(kind, inspect.IntType) and place.endswith("_bytes")
    if is_size and isinstance(value, str):
        try:
            return parse_size(value)
        except InvalidConfig as error:
            raise InvalidConfig(f"{place}: {error.message}") from None
    return value


def _plain_group(value: Any, kind: inspect.StructType, *, place: str, folder: Path) -> Any:
    if not isinstance(value, dict):
        return value
    types = {field.encode_name: field.type for field in kind.fields}
    joint = "" if place.endswith(": ") else "."
    return {
        key: _plain(item, types[key], place=f"{place}{joint}{key}", folder=folder)
        if key in types
        else item
        for key, item in value.items()
    }


def _address(value: object, place: str, folder: Path) -> dict[str, object]:
    if not isinstance(value, str):
        raise InvalidConfig(f"{place}: expected the text HOST:PORT or unix:PATH, got {value!r}")
    try:
        address = parse_address(value)
    except InvalidConfig as error:
        raise InvalidConfig(f"{place}: {error.message}") from None
    if address.unix_path:
        return {"unix_path": str(folder / address.unix_path)}
    return {"host": address.host, "port": address.port}


def _main_type(kind: inspect.Type) -> inspect.Type:
    """Without the None of an optional setting."""
    if isinstance(kind, inspect.UnionType):
        return next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind
