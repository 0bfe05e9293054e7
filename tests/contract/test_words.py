"""Words that must not stand in the source, and how long a file may get."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".cc", ".proto"}
FOLDERS = ("src", "csrc", "proto", "tests", "bench", "examples", "deploy")
MOST_LINES = 600
# Written in two parts, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# They run what they read.
FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "os.system"}


def files():
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return sorted(
        path
        for path in found
        if path.suffix in SUFFIXES and path.is_file() and "_proto" not in path.parts
    )


def package_files():
    return sorted((ROOT / "src" / "fastserve").rglob("*.py"))


def relative(path):
    return str(path.relative_to(ROOT))


def dangers(source):
    """Names every import and call in the source that could run code out of data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS:
                yield called
            for keyword in node.keywords:
                value = keyword.value
                is_false = isinstance(value, ast.Constant) and value.value is False
                if keyword.arg == "allow_pickle" and not is_false:
                    yield "allow_pickle"
                shell_off = isinstance(value, ast.Constant) and not value.value
                if keyword.arg == "shell" and not shell_off:
                    yield "shell"
            continue
        else:
            continue
        yield from sorted(names & FORBIDDEN_MODULES)


@pytest.mark.parametrize("path", package_files(), ids=relative)
def test_package_never_runs_what_it_reads(path):
    assert list(dangers(path.read_text())) == []


@pytest.mark.parametrize("path", files(), ids=relative)
def test_file_is_finished(path):
    lines = path.read_text().splitlines()
    found = [f"line {n}: {line}" for n, line in enumerate(lines, 1) if UNFINISHED.search(line)]
    assert found == []


# A published protocol is one file with its comments.
@pytest.mark.parametrize("path", [p for p in files() if p.suffix != ".proto"], ids=relative)
def test_file_stays_under_600_lines(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "import yaml\nyaml.load(text)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_danger_rule_refuses(source):
    assert len(list(dangers(source))) == 1
