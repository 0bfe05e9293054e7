"""A text data set that is on every machine: the standard library's docstrings, by topic.

Each row is the docstring of a module, class or function; its label is the topic of the package that
it stands in. The source is read, never imported.
"""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

TOPICS = {
    "archives": ("tarfile", "zipfile", "shutil", "gzip", "bz2", "lzma"),
    "asyncio": ("asyncio",),
    "email": ("email", "mailbox"),
    "imports": ("importlib", "pkgutil", "zipimport"),
    "logging": ("logging",),
    "numbers": ("_pydecimal", "statistics", "fractions", "random", "numbers"),
    "processes": ("multiprocessing", "concurrent", "subprocess"),
    "tests": ("unittest", "doctest"),
    "web": ("http", "urllib", "wsgiref"),
    "xml": ("xml", "xmlrpc"),
}
SHORTEST = 40
LONGEST = 600


def read() -> list[tuple[str, str]]:
    """Returns (text, topic) rows, sorted, each text once, lower case, with single spaces."""
    rows: dict[str, str] = {}
    for topic, packages in TOPICS.items():
        for package in packages:
            for path in _sources(package):
                for text in _docstrings(path):
                    rows.setdefault(text, topic)
    return sorted(rows.items())


def _sources(package: str) -> list[Path]:
    folder = Path(sysconfig.get_path("stdlib"))
    module = folder / f"{package}.py"
    if module.exists():
        return [module]
    return [path for path in sorted((folder / package).rglob("*.py")) if "test" not in path.parts]


def _docstrings(path: Path) -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    texts = (" ".join(text.lower().split())[:LONGEST] for text in found if text)
    return [text for text in texts if len(text) >= SHORTEST]
