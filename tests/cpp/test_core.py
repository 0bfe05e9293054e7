"""The C++ tests and fuzz targets, each doctest case as a test of its own.

Three builds under build/: `release` (shared with the extension, so the library is compiled once;
its benches are counted, and with FASTSERVE_SOAK the cases run there as well), `tests-address` (ASan
and UBSan, by clang where it is, since that build also carries the fuzz targets) and `tests-thread`
(TSan; the test suite "storm" alone). A binary runs once, while the next one is compiled; its cases
look their result up.
"""

import importlib.util
import os
import re
import subprocess
import xml.sax.saxutils
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.cpp.builds import (
    ADDRESS,
    BUILD,
    CLANG,
    CSRC,
    PLAIN,
    ROOT,
    THREAD,
    build,
    build_failure,
    failure_of,
)

HERE = Path(__file__).resolve().parent
FUZZ_SECONDS = int(os.environ.get("FASTSERVE_FUZZ_SECONDS", "3"))
# The cases without a sanitizer as well: the same ones, so only where time is no matter.
IS_PLAIN_RUN = "FASTSERVE_SOAK" in os.environ

RUNS = ThreadPoolExecutor()

pytestmark = pytest.mark.cpp

LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
CASE = re.compile(r'\bTEST_CASE(?:_FIXTURE\(\s*[\w:]+\s*,|\()\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')
STORM = re.compile(r'(?:TEST_SUITE|TEST_SUITE_BEGIN|test_suite)\("storm"\)')


def case_names(path):
    """The names of the test cases that a source file declares."""
    source = path.read_text()
    for match in CASE.finditer(source):
        parts = LITERAL.findall(match.group(1))
        yield "".join(parts).replace('\\"', '"').replace("\\\\", "\\")


def declared(binary):
    sources = sorted((CSRC / "tests").glob("*_test.cc"))
    if binary.suite is None:
        return [(path.stem, name) for path in sources for name in case_names(path)]
    return []


def fuzz_targets():
    return [path.stem for path in sorted((CSRC / "fuzz").glob("*_fuzz.cc"))]


def binary_of(item):
    """The binary whose run the test asks about, if any."""
    if item.originalname == "test_cpp_binary_ends_well":
        return item.callspec.params["binary"]
    return {
        "test_cpp": PLAIN,
        "test_cpp_under_address_sanitizer": ADDRESS,
        "test_cpp_storm_under_thread_sanitizer": THREAD,
    }.get(item.originalname)


def prepare(items):
    """Compiles and runs what these tests ask about; conftest.py calls it before the first of them.

    A binary runs while the next is compiled: the longest run starts first.
    """
    wanted = {binary_of(item) for item in items}
    binaries = [binary for binary in (ADDRESS, THREAD, PLAIN) if binary in wanted]
    runs = [run(binary) for binary in binaries if build_failure(binary, "fastserve_tests") is None]
    fuzzes = any(item.originalname == "test_cpp_fuzz_target_finds_nothing" for item in items)
    if CLANG is not None and fuzzes:
        build_failure(ADDRESS, "fastserve_fuzz")
    wait(runs)


def environment():
    """Sanitizers that stop at the first finding, and the library that the runtime tests open."""
    capi = Path(importlib.util.find_spec("onnxruntime").origin).parent / "capi"
    libraries = sorted(capi.glob("libonnxruntime.so.*"))
    return os.environ | {
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
        "LSAN_OPTIONS": f"suppressions={HERE / 'lsan.supp'}:print_suppressions=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": f"suppressions={HERE / 'tsan.supp'}:halt_on_error=1",
        "FASTSERVE_ORT_LIBRARY": str(libraries[-1]),
    }


@dataclass(frozen=True)
class Outcome:
    """What one run of a binary said."""

    returncode: int
    report: str  # doctest's XML, cut short where the binary crashed
    errors: str  # what the sanitizers wrote

    def of(self, name):
        """The report on one case, or None when the run did not get to its end."""
        quoted = xml.sax.saxutils.escape(name, {'"': "&quot;"})
        found = re.search(
            rf'<TestCase name="{re.escape(quoted)}".*?</TestCase>', self.report, flags=re.DOTALL
        )
        return found.group() if found else None

    def tail(self):
        return f"{self.report[-3000:]}\n{self.errors[-8000:]}\nexit status {self.returncode}"


def outcome_of(program, suite):
    command = [str(program), "--reporters=xml", "--no-intro=true"]
    if suite is not None:
        command.append(f"--test-suite={suite}")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=600,
        cwd=ROOT,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@cache
def run(binary):
    """The one run of a binary in a session, as a future."""
    return RUNS.submit(outcome_of, build(binary, "fastserve_tests"), binary.suite)


def outcome(binary):
    return run(binary).result()


def check_case(binary, name):
    said = outcome(binary).of(name)
    if said is None:
        pytest.fail(f"no result for {name!r}\n{outcome(binary).tail()}", pytrace=False)
    if 'test_case_success="true"' not in said:
        pytest.fail(said, pytrace=False)


def as_id(value):
    return value.replace(" ", "-")


if IS_PLAIN_RUN:

    @pytest.mark.parametrize(("source", "name"), declared(PLAIN), ids=as_id)
    def test_cpp(source, name):
        check_case(PLAIN, name)


@pytest.mark.parametrize(("source", "name"), declared(ADDRESS), ids=as_id)
def test_cpp_under_address_sanitizer(source, name):
    check_case(ADDRESS, name)


@pytest.mark.parametrize(
    "binary", [PLAIN, ADDRESS] if IS_PLAIN_RUN else [ADDRESS], ids=lambda binary: binary.folder
)
def test_cpp_binary_ends_well(binary):
    """Covers what no case reports: leaks at exit, template cases, and cases that nobody found."""
    result = outcome(binary)
    if result.returncode != 0:
        pytest.fail(result.tail(), pytrace=False)
    ran = re.search(r'<OverallResultsTestCases successes="(\d+)"', result.report)
    assert ran is not None
    assert int(ran.group(1)) >= len(set(declared(binary))) > 0


def has_storm():
    return any(STORM.search(path.read_text()) for path in (CSRC / "tests").glob("*_test.cc"))


@pytest.mark.skipif(not has_storm(), reason='no test suite "storm" in csrc/tests')
def test_cpp_storm_under_thread_sanitizer():
    result = outcome(THREAD)
    if result.returncode != 0:
        pytest.fail(result.tail(), pytrace=False)
    ran = re.search(r'<OverallResultsTestCases successes="(\d+)"', result.report)
    assert ran is not None
    assert int(ran.group(1)) > 0


@pytest.mark.skipif(CLANG is None, reason="libFuzzer needs clang++")
@pytest.mark.parametrize("target", fuzz_targets())
def test_cpp_fuzz_target_finds_nothing(target):
    binary = build(ADDRESS, target)
    # What this machine found earlier is kept and starts the next run; seeds come with the source.
    corpus = BUILD / "fuzz" / target / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = CSRC / "fuzz" / "seeds" / target.removesuffix("_fuzz")
    command = [
        str(binary),
        f"-max_total_time={FUZZ_SECONDS}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={corpus.parent}/",
        str(corpus),
        *([str(seeds)] if seeds.is_dir() else []),
    ]
    failure = failure_of(command, env=environment(), timeout=FUZZ_SECONDS + 120)
    if failure is not None:
        pytest.fail(failure, pytrace=False)
