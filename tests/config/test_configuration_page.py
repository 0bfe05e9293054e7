"""docs/configuration.md lists every setting as the code has it."""

import re
from pathlib import Path

from msgspec import inspect

from fastserve.config import Address, WebhookTarget
from fastserve.settings import FLAGS, leaves, list_entries, load_settings, read_layers, variable_of

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
FLAG_OF = {path: flag for flag, path in FLAGS.items()}
# Set by what the server finds, which a table says better in words.
CHOSEN = {"state_dir": "`.fastserve` in the repository", "repository": "none"}


def type_text(path, kind):
    """`int, 1 to 1024`: the type in a reader's words, with its bounds."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
        if isinstance(kind, inspect.StructType):
            return "address or `off`"
    if isinstance(kind, inspect.VarTupleType):
        return {
            "address": "list of addresses", "table": "list of tables", "text": "list of texts"
        }[type_text(path, kind.item_type)]  # fmt: skip
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.StructType):
        return {Address: "address", WebhookTarget: "table"}[kind.cls]
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        is_size = path.endswith("_bytes")
        name = "size" if is_size else "int" if isinstance(kind, inspect.IntType) else "float"
        return name + bounds(kind, size_text if is_size else str)
    return {inspect.BoolType: "bool", inspect.CustomType: "path", inspect.StrType: "text"}[
        type(kind)
    ]


def bounds(kind, written):
    if kind.gt is not None:
        return f", above {written(kind.gt)} to {written(kind.le)}"
    if kind.le is not None:
        return f", {written(kind.ge)} to {written(kind.le)}"
    return "" if kind.ge is None else f", from {written(kind.ge)}"


def size_text(count):
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def default_text(path, value):
    if path in CHOSEN:
        return CHOSEN[path]
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value)
    if path.endswith("_bytes"):
        return f"`{size_text(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def expected_rows():
    values = {entry.path: entry.value for entry in list_entries(read_layers(None, {}, {}))}
    return [
        (
            f"`{path}`",
            type_text(path, kind),
            default_text(path, values[path]),
            f"`{variable_of(path)}`",
            f"`{FLAG_OF[path]}`" if path in FLAG_OF else "",
        )
        for path, kind in leaves().items()
    ]


def stated_rows():
    rows = re.findall(r"^\| (`[a-z_.]+` \|.*) \|$", PAGE.read_text(), re.MULTILINE)
    return [tuple(cell.strip() for cell in row.split("|")) for row in rows]


def test_table_says_what_the_code_says():
    assert [row[:5] for row in stated_rows()] == expected_rows()


def test_table_says_what_each_setting_means():
    assert all(len(row) == 6 and len(row[5]) > 10 for row in stated_rows())


def test_examples_are_settings_that_load(tmp_path):
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 1
    for block in blocks:
        file = tmp_path / "fastserve.toml"
        file.write_text(block)
        loaded = load_settings(file, {}, {"REPOSITORY": "."})
        assert any(entry.source.startswith(str(file)) for entry in loaded.entries)


def test_environment_examples_are_settings_that_load():
    pairs = re.findall(r"^(FASTSERVE_\w+)=(\S+)$", PAGE.read_text(), re.MULTILINE)
    assert pairs
    load_settings(None, dict(pairs), {"REPOSITORY": "."})
