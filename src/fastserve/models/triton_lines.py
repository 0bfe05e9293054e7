"""On which line of a config.pbtxt does a field stand?

The parser of protobuf's text format forgets places once it has succeeded, so this scanner reads the
text again: names, braces and values, nothing of types. It is run only over text that was parsed.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/.
"""

import re
from typing import Final, NamedTuple

from google.protobuf import text_format

from fastserve._proto import open_inference_grpc_pb2 as pb


class Key(NamedTuple):
    """A step of a path into a map field."""

    value: str | int


# The way to a field: names, places in a repeated field, keys of a map.
FieldPath = tuple[str | int | Key, ...]

_TOKEN: Final = re.compile(
    r"""
    (?P<skip> \s+ | \#[^\n]* )
    | (?P<text> "(?:[^"\\\n]|\\[^\n])*" | '(?:[^'\\\n]|\\[^\n])*' )
    | (?P<word> [A-Za-z_0-9.+-]+ )
    | (?P<mark> . )
    """,
    re.VERBOSE,
)


class _Node:
    """A message with its fields, or a value with its words."""

    __slots__ = ("fields", "line", "words")

    def __init__(self, line: int, words: str = "") -> None:
        self.line = line
        self.words = words
        self.fields: dict[str, list[_Node]] = {}

    def add(self, name: str, node: "_Node") -> "_Node":
        self.fields.setdefault(name, []).append(node)
        return node


class _Open:
    """A message whose closing brace is still to come, and the field of it that is being read."""

    __slots__ = ("in_list", "line", "name", "node")

    def __init__(self, node: _Node) -> None:
        self.node = node
        self.name = ""
        self.line = node.line
        self.in_list = False

    def end_value(self) -> None:
        if not self.in_list:
            self.name = ""


class FieldLines:
    """Lines by path; what is not written has the line of what it would stand in."""

    def __init__(self, text: str) -> None:
        self._root = _scan(text)
        # Entries by key of the maps that were asked about, by the identity of their nodes.
        self._entries: dict[int, dict[str | int, _Node]] = {}

    def line(self, path: FieldPath) -> int:
        node = self._root
        steps = list(path)
        while steps:
            step = steps.pop(0)
            nodes = node.fields.get(step, []) if isinstance(step, str) else []
            if not nodes:
                break
            # A field that is repeated begins where its first value does.
            found: _Node | None = nodes[0]
            if steps and isinstance(steps[0], int):
                place = steps.pop(0)
                found = nodes[place] if isinstance(place, int) and place < len(nodes) else None
            elif steps and isinstance(steps[0], Key):
                key = steps.pop(0)
                found = self._entry(nodes, key.value) if isinstance(key, Key) else None
                if found is not None and steps:
                    found = found.fields.get("value", [found])[-1]
            if found is None:
                break
            node = found
        return node.line

    def _entry(self, nodes: list[_Node], key: str | int) -> _Node | None:
        """The entry of a map that counts: the last one with that key."""
        entries = self._entries.get(id(nodes))
        if entries is None:
            words = ((node, node.fields.get("key", [_NO_KEY])[-1].words) for node in nodes)
            entries = {_key(text, key): node for node, text in words}
            self._entries[id(nodes)] = entries
        return entries.get(key)


# Stands for the key of an entry that has none, which is the empty one.
_NO_KEY: Final = _Node(0)


def _key(words: str, like: str | int) -> str | int:
    # Escapes and octal numbers are protobuf's own affair.
    if isinstance(like, int):
        number = pb.ModelDynamicBatching()
        text_format.Parse(f"priority_levels: {words or 0}", number)
        return number.priority_levels
    text = pb.ModelParameter()
    text_format.Parse(f"string_value: {words or repr('')}", text)
    return text.string_value


def _scan(text: str) -> _Node:
    root = _Node(1)
    # A stack instead of recursion: depth costs memory, never the interpreter's stack.
    stack = [_Open(root)]
    last_text: _Node | None = None
    line = 1
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        if kind == "skip":
            line += token.count("\n")
            continue
        top = stack[-1]
        if kind == "text" and last_text is not None:
            # Texts beside one another are one.
            last_text.words += f" {token}"
            continue
        last_text = None
        if kind == "word" and not top.name:
            top.name, top.line = token, line
        elif kind in ("word", "text"):
            value = _Node(line if top.in_list else top.line, token)
            top.node.add(top.name, value)
            last_text = value if kind == "text" else None
            top.end_value()
        else:
            _take_mark(stack, token, line)
    return root


def _take_mark(stack: list[_Open], mark: str, line: int) -> None:
    top = stack[-1]
    if mark in "{<":
        node = top.node.add(top.name, _Node(line if top.in_list else top.line))
        stack.append(_Open(node))
    elif mark in "}>" and len(stack) > 1:
        stack.pop()
        stack[-1].end_value()
    elif mark == "[":
        top.in_list = True
    elif mark == "]":
        top.in_list = False
        top.end_value()
