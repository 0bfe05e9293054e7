"""What all groups of a model.toml have in common."""

import re
from typing import Annotated, Final

import msgspec

from fastserve.errors import quoted

MAX_VERSION: Final = (1 << 63) - 1
_MAX_FILE_NAME: Final = 255
Version = Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of model.toml."""


def file_name_problem(name: str) -> str:
    """Why `name` cannot be a file of a version's folder; empty when it can."""
    if not name or len(name.encode(errors="replace")) > _MAX_FILE_NAME:
        return f"expected the name of a file, of 1 to {_MAX_FILE_NAME} bytes"
    if name.startswith("."):
        return f"{quoted(name)} begins with a dot, and hidden files are not served"
    if re.search(r"[/\\\x00-\x1f\x7f]", name):
        return f"{quoted(name)} is not a plain name: the file lies in the version's own folder"
    return ""
