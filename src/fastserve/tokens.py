"""Who may call: the tokens of a file, each with a name for the audit and a role.

A line is `TOKEN`, or `NAME ROLE TOKEN`. No message here repeats a word of the file: a line whose
words are in the wrong order would put its secret into a log.
"""

import enum
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastserve.config import read_regular_file
from fastserve.errors import InvalidConfig

ANONYMOUS: Final = "anonymous"

_MAX_FILE_BYTES: Final = 1 << 20
_NAMED_WORDS: Final = 3
_SECRET: Final = re.compile(r"[!-~]{8,4096}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(enum.IntEnum):
    """What a caller may do. Each role includes those before it."""

    # Inference, metadata, health, statistics.
    INFER = 1
    # Also models: load, unload, push, labels; settings and the audit log, to read.
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As token files and messages write it."""
        return self.name.lower()


# Not a msgspec struct: those show every field to rich, too.
@dataclass(frozen=True, slots=True)
class Token:
    """One caller's token. Its secret is in no repr."""

    name: str
    role: Role
    secret: str = field(repr=False)


def read_tokens(path: Path | None) -> tuple[Token, ...]:
    """The tokens of a file; empty lines and lines that start with # are skipped.

    A token without name and role is an admin named by its place, `token-1`. Errors: InvalidConfig
    with the line when the file has none, one that a header cannot carry, or one twice.
    """
    if path is None:
        return ()
    name = f"token file {str(path)!r}"
    try:
        lines = read_regular_file(path, name=name, max_bytes=_MAX_FILE_BYTES).decode().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{name}: is not UTF-8: {error}") from error
    tokens: list[Token] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = f"{name}, line {number}"
        token = _read_token(words, len(tokens) + 1, place)
        for other in tokens:
            if other.name == token.name or other.secret == token.secret:
                what = "name" if other.name == token.name else "secret"
                raise InvalidConfig(f"{place}: has the {what} of an earlier token")
        tokens.append(token)
    if not tokens:
        raise InvalidConfig(f"{name}: holds no token: write one a line")
    return tuple(tokens)


def _read_token(words: list[str], ordinal: int, place: str) -> Token:
    if len(words) not in {1, _NAMED_WORDS}:
        raise InvalidConfig(f"{place}: has {len(words)} words, expected TOKEN or NAME ROLE TOKEN")
    if not _SECRET.fullmatch(words[-1]):
        raise InvalidConfig(
            f"{place}: expected a token of 8 to 4096 printable ASCII characters without spaces"
        )
    if len(words) == 1:
        return Token(f"token-{ordinal}", Role.ADMIN, words[0])
    name, word, secret = words
    roles = {role.word: role for role in Role}
    if word not in roles:
        raise InvalidConfig(
            f"{place}: its second word is no role, expected one of {', '.join(roles)}"
        )
    if name == ANONYMOUS or not _NAME.fullmatch(name):
        raise InvalidConfig(
            f"{place}: the name has to start with a letter or digit, with at most 63 more of "
            f"these and . _ @ - after it, and may not be {ANONYMOUS!r}"
        )
    return Token(name, roles[word], secret)
