"""A config.pbtxt as a ModelConfig message, and the parser's refusals in our words.

ModelConfig nests no message in itself, so a text can nest no deeper than its fields do: the parser
stops at the first brace too many.
"""

import difflib
import re
from collections.abc import Callable
from typing import Final

from google.protobuf import text_format

from fastserve._proto import POOL, open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidConfig, quoted

_TOKEN: Final = re.compile(r"\"[^\"\n]*\"?|'[^'\n]*'?|[\w.+-]+|.")


def parse_text(data: bytes, *, name: str) -> tuple[pb.ModelConfig, str]:
    """The message and the text it was read from. Errors: InvalidConfig with line and column."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidConfig(f"{name}:{line}: is not UTF-8 at byte {error.start}") from None
    message = pb.ModelConfig()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise InvalidConfig(f"{name}:{_explain(error, text)}") from None
    except (ValueError, TypeError, RecursionError) as error:
        # The message's own check of a value, which knows no line: a number that no enum holds.
        raise InvalidConfig(f"{name}: {quoted(str(error))}") from None
    return message, text


def no_such_field(message: str, field: str) -> str:
    """For a field that the message type of that full name does not have."""
    descriptor = POOL.FindMessageTypeByName(message)
    names = [each.name for each in descriptor.fields]
    return f"{descriptor.name} has no field {quoted(field)}; {_nearest(field, names)}"


def no_such_value(enum: str, value: str) -> str:
    """For a word or a number that the enum of that full name does not have."""
    descriptor = POOL.FindEnumTypeByName(enum)
    names = [each.name for each in descriptor.values if each.name != "TYPE_INVALID"]
    # Names of one enum are alike to begin with.
    return f"{quoted(value)} is no {descriptor.name}; {_nearest(value, names, cutoff=0.8)}"


def _nearest(got: str, names: list[str], *, cutoff: float = 0.6) -> str:
    nearest = difflib.get_close_matches(got[:64], names, n=1, cutoff=cutoff)
    return f"did you mean {nearest[0]!r}?" if nearest else f"known here: {', '.join(names)}"


# What the parser says, and what is said instead; `got` is the word it stopped at.
_WORDS: Final[list[tuple[re.Pattern[str], Callable[[re.Match[str], str], str]]]] = [
    (
        re.compile(r'Message type "([\w.]+)" has no field named "(.*)"\.'),
        lambda match, _: no_such_field(match[1], match[2]),
    ),
    (
        re.compile(r'Message type "[\w.]+" should not have multiple "(\w+)" fields\.'),
        lambda match, _: f"{match[1]!r} is given twice",
    ),
    (
        re.compile(r'Field "(\w+)" is specified along with field "(\w+)", another member of'),
        lambda match, _: f"{match[1]!r} and {match[2]!r} exclude each other: keep one",
    ),
    (
        re.compile(r'Enum type "([\w.]+)" has no value named (.*)\.'),
        lambda match, _: no_such_value(match[1], match[2]),
    ),
    (
        re.compile(r"Couldn't parse integer: "),
        lambda _, got: f"expected a whole number, got {got}",
    ),
    (re.compile(r"Value out of range: "), lambda _, got: f"{got} is out of the field's range"),
    (
        re.compile(r"(?:Couldn't parse float|Invalid octal float): "),
        lambda _, got: f"expected a number, got {got}",
    ),
    (
        re.compile(r'Expected "true" or "false"'),
        lambda _, got: f"expected true or false, got {got}",
    ),
    (
        re.compile(r"Expected string but found: "),
        lambda _, got: f"expected text in quotes, got {got}",
    ),
    (
        re.compile(r"String missing ending quote: "),
        lambda _, got: f"text has no closing quote: {got}",
    ),
    (re.compile(r"Couldn't parse string: "), lambda *_: "text is not UTF-8"),
    (
        re.compile(r"Expected identifier(?: or number)?"),
        lambda _, got: f"expected the name of a field, got {got}",
    ),
    (re.compile(r'Expected "(.)"\.'), lambda match, got: f"expected '{match[1]}', got {got}"),
    (
        re.compile(r'Message type "[\w.]+" does not have extensions'),
        lambda *_: "expected the name of a field, got an extension",
    ),
]


def _explain(error: text_format.ParseError, text: str) -> str:
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    lines = text.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    rest = written[column - 1 :].strip()
    token = _TOKEN.match(rest)
    got = quoted(token[0]) if token else "the end of the line"
    said = str(error).removeprefix(f"{line}:{column} : ")
    # The line it quotes is empty at the end of the text.
    said = said.removeprefix(f"'{written}': ").removeprefix("'': ")
    for pattern, words in _WORDS:
        match = pattern.match(said)
        if match:
            return f"{line}:{column}: {words(match, got)}"
    return f"{line}:{column}: {quoted(said)}"
