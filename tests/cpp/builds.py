"""The builds of the C++ core that tests need, each under build/ and compiled once in a session."""

import fcntl
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
BUILD = ROOT / "build"
CLANG = shutil.which("clang++")


@dataclass(frozen=True)
class Binary:
    folder: str
    sanitize: str
    compiler: str
    suite: str | None = None


PLAIN = Binary("release", "", "g++")
ADDRESS = Binary("tests-address", "address", "clang++" if CLANG else "g++")
THREAD = Binary("tests-thread", "thread", "g++", suite="storm")


def failure_of(command, **options):
    """What the command printed when it failed, else None."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode == 0:
        return None
    return f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def program(name):
    """The cmake or ninja of this environment, else the machine's own."""
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:
        inside = Path(spec.origin).parent / "data" / "bin" / name
        if inside.exists():
            return str(inside)
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed; `make build-dev` installs it"
    return found


@cache
def build_failure(binary, target):
    """Compiles once in a session, also when that fails: 200 cases do not try again."""
    folder = BUILD / binary.folder
    options = [
        f"-DFASTSERVE_SANITIZE={binary.sanitize}",
        "-DFASTSERVE_TESTS=ON",
        "-DFASTSERVE_BENCH=ON",
        f"-DCMAKE_MAKE_PROGRAM={program('ninja')}",
    ]
    if not (folder / "CMakeCache.txt").exists():
        options.append(f"-DCMAKE_CXX_COMPILER={binary.compiler}")
    configure = [program("cmake"), "-G", "Ninja", "-S", str(CSRC), "-B", str(folder), *options]
    jobs = str(len(os.sched_getaffinity(0)))
    # At a low priority: other workers' tests run meanwhile, and some wait for answers in time.
    build = ["nice", "-n", "5", program("cmake"), "--build", str(folder)]
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{binary.folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may build in the same folder
        return failure_of(configure) or failure_of([*build, "--target", target, "-j", jobs])


def build(binary, target):
    failure = build_failure(binary, target)
    if failure is not None:
        pytest.fail(failure, pytrace=False)
    return BUILD / binary.folder / target
