"""Builds the compiled core with CMake and Ninja, then hands its extension to setuptools.

CMake does all of the work in build/<config>/, also Cython's step, so that an edit rebuilds what
depends on it and nothing else, on every core. Environment:

FASTSERVE_SANITIZE=address|thread  AddressSanitizer with UBSan, or ThreadSanitizer
FASTSERVE_DEBUG=1                  no optimisation, full debug information
CXX                                the compiler (default: g++, the one that releases use)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
SANITIZERS = ("address", "thread")


def config_name() -> str:
    """The name of the build folder under build/ that the environment asks for."""
    sanitize = os.environ.get("FASTSERVE_SANITIZE", "")
    if sanitize and sanitize not in SANITIZERS:
        message = f"FASTSERVE_SANITIZE is {sanitize!r}, expected one of {', '.join(SANITIZERS)}"
        raise SystemExit(message)
    if sanitize:
        return sanitize
    return "debug" if is_debug() else "release"


def is_debug() -> bool:
    return os.environ.get("FASTSERVE_DEBUG", "0") not in {"", "0"}


def tool(name: str) -> str:
    """The program of the PyPI package where it is installed, else the machine's own."""
    beside = Path(sysconfig.get_path("scripts")) / name
    if beside.exists():
        return str(beside)
    found = shutil.which(name)
    if found is None:
        message = f"fastserve: {name} is not installed; install it with: pip install {name}"
        raise SystemExit(message)
    return found


def run(command: list[str]) -> None:
    """Runs quietly; on failure shows the one line that names missing packages, or everything."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    output = done.stdout + done.stderr
    missing = [line for line in output.splitlines() if line.startswith("fastserve: missing")]
    raise SystemExit(missing[0] if missing else f"{output}\nfailed: {' '.join(command)}")


class CMakeBuild(build_ext):
    """Builds the extension by the target `fastserve_extension` of csrc/CMakeLists.txt."""

    def build_extension(self, ext: Extension) -> None:
        build = ROOT / "build" / config_name()
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        compiler = os.environ.get("CXX", "g++")
        configure = [
            tool("cmake"),
            *("-G", "Ninja", "-S", str(ROOT / "csrc"), "-B", str(build)),
            # Named each time: in an isolated build its path changes from one build to the next.
            f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
            f"-DFASTSERVE_SANITIZE={os.environ.get('FASTSERVE_SANITIZE', '')}",
            f"-DFASTSERVE_DEBUG={'ON' if is_debug() else 'OFF'}",
            f"-DFASTSERVE_PYTHON={sys.executable}",
            f"-DFASTSERVE_PYTHON_INCLUDE={sysconfig.get_path('include')}",
            f"-DFASTSERVE_EXTENSION_SUFFIX={suffix}",
        ]
        # A change of compiler makes CMake start over; a build folder keeps the one it began with.
        if not (build / "CMakeCache.txt").exists():
            configure.append(f"-DCMAKE_CXX_COMPILER={compiler}")
        run(configure)
        jobs = str(len(os.sched_getaffinity(0)))
        run([tool("cmake"), "--build", str(build), "--target", "fastserve_extension", "-j", jobs])
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(build / "extension" / f"core{suffix}", target)


setup(
    # The sources are CMake's to know; an empty list keeps setuptools from compiling anything.
    ext_modules=[Extension("fastserve._core.core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
