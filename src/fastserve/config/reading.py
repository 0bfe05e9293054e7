"""How all settings are read: strictly, with the place of what is wrong and the nearest name."""

import difflib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeGuard, TypeVar

import msgspec

from fastserve.decoding import convert_plain
from fastserve.errors import InvalidConfig

_MAX_SHOWN: Final = 80
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def decode_toml(data: bytes, *, name: str) -> object:
    """What the TOML says, as plain values. Errors: InvalidConfig with `name` and the place."""
    try:
        return msgspec.toml.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{name}: not TOML: {error}") from error
    except RecursionError:
        raise InvalidConfig(f"{name}: nested too deep") from None


def read_regular_file(path: Path, *, name: str, max_bytes: int, root: Path | None = None) -> bytes:
    """The whole file, read once. Never blocks on a pipe or a device.

    Errors: InvalidConfig when it is not a regular file, leads out of `root`, is larger than
    `max_bytes`, or changes while it is read; `name` is what the message calls it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise InvalidConfig(f"{name}: cannot be opened: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # here: a file object of a folder cannot be made
        raise InvalidConfig(f"{name}: is not a regular file")
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        # The place of what was really opened: a link that is swapped meanwhile changes nothing.
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        if root is not None and not opened.is_relative_to(root.resolve()):
            raise InvalidConfig(f"{name}: leads out of the repository")
        if status.st_size > max_bytes:
            raise InvalidConfig(
                f"{name}: has {status.st_size} bytes, more than the limit of {max_bytes}"
            )
        data = file.readall()
    if len(data) != status.st_size:
        raise InvalidConfig(
            f"{name}: changed while it was read ({status.st_size} bytes, then {len(data)}); "
            "copy into a hidden folder first, then rename"
        )
    return data


def convert(data: object, kind: type[_Struct], *, source: str) -> _Struct:
    """`data` as a `kind`, strictly. Errors: InvalidConfig: where, got, expected, nearest."""
    try:
        return convert_plain(data, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise InvalidConfig(f"{source}: {_explain(error, data, kind)}") from None


def _decode(kind: type[Any], value: object) -> object:
    if kind is not Path:
        raise NotImplementedError(f"no conversion to {kind}")
    if not isinstance(value, str):
        # msgspec adds the place, as to its own messages.
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return Path(value)


# The form of msgspec's messages: "Expected `int`, got `str` - at `$.limits.max_queue_rows`".
_PLACED = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")


def _explain(error: msgspec.ValidationError, data: object, kind: type[msgspec.Struct]) -> str:
    match = _PLACED.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    steps, node, value = _walk(kind, data, re.findall(r"\[\.\.\.\]|[^.\[\]]+", path))
    place = ".".join(steps)
    if isinstance(error.__cause__, InvalidConfig):
        # A group's own rule, in its own words.
        return ".".join([*steps, error.__cause__.message])
    unknown = _UNKNOWN.search(what)
    if unknown is None:
        if isinstance(node, msgspec.inspect.LiteralType):
            what = f"expected one of {', '.join(repr(value) for value in node.values)}"
        return f"{place or 'the whole'}: {what[0].lower()}{what[1:]} (value {_shorten(value)})"
    names = [field.encode_name for field in node.fields] if _is_struct(node) else []
    nearest = difflib.get_close_matches(unknown["name"], names, n=1, cutoff=0.4)
    advice = f"did you mean {nearest[0]!r}?" if nearest else f"known here: {', '.join(names)}"
    return f"{'.'.join([*steps, unknown['name']])}: no such key; {advice}"


def _walk(
    kind: type[msgspec.Struct], data: object, path: list[str]
) -> tuple[list[str], msgspec.inspect.Type, object]:
    """The steps of `path` with the keys of maps filled in, and the type and the value at its end.

    msgspec writes `[...]` for a value of a map; the key is that of the first value it refuses.
    """
    node: msgspec.inspect.Type = msgspec.inspect.type_info(kind)
    steps: list[str] = []
    for part in path:
        step, node = part, _without_none(node)
        if isinstance(node, msgspec.inspect.DictType) and isinstance(data, Mapping):
            step = _refused_key(data, node.value_type) if part == "[...]" else part
            node, data = node.value_type, data.get(step)
        elif isinstance(node, msgspec.inspect.VarTupleType) and isinstance(data, list | tuple):
            node = node.item_type
            data = data[int(step)] if step.isdigit() and int(step) < len(data) else data
        elif isinstance(node, msgspec.inspect.StructType) and isinstance(data, Mapping):
            found = [field.type for field in node.fields if field.encode_name == step]
            node, data = found[0] if found else node, data.get(step)
        steps.append(step)
    return steps, _without_none(node), data


def _without_none(node: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(node, msgspec.inspect.UnionType):
        kinds = [each for each in node.types if not isinstance(each, msgspec.inspect.NoneType)]
        return kinds[0] if len(kinds) == 1 else node
    return node


def _refused_key(data: Mapping[Any, object], value_type: msgspec.inspect.Type) -> str:
    kind: Any = object
    if _is_struct(value_type):
        kind = value_type.cls
    elif isinstance(value_type, msgspec.inspect.StrType):
        kind = str
    elif isinstance(value_type, msgspec.inspect.IntType):
        kind = Annotated[int, msgspec.Meta(ge=value_type.ge, le=value_type.le)]
    for key, value in data.items():
        try:
            convert_plain(value, kind, dec_hook=_decode)
        except msgspec.ValidationError:
            return str(key)
    return "..."


def _is_struct(node: msgspec.inspect.Type) -> TypeGuard[msgspec.inspect.StructType]:
    return isinstance(node, msgspec.inspect.StructType)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
