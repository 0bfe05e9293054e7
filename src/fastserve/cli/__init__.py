"""The `fastserve` command."""

from fastserve.cli.root import main

__all__ = ["main"]
