"""The `fastserve` command."""

import sys
from typing import NoReturn

from fastserve.huge_pages import begin_again

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """The entry point of the command line; `arguments` instead of the process's own."""
    if arguments is None:
        begin_again(sys.argv[1:])
    # Imported only now: a process that begins again has no use for it.
    from fastserve.cli.root import main as run  # noqa: PLC0415

    run(arguments)
