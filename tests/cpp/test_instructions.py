"""Instructions, counted by callgrind, against the stored table (docs/budgets.md).

Counts do not depend on what else runs, so these tests may run beside all others; apart from
test_core.py, since they take minutes and need none of its builds.
"""

import shutil
import sys

import pytest

from tests.cpp.builds import PLAIN, ROOT, build, failure_of

pytestmark = pytest.mark.skipif(
    shutil.which("valgrind") is None, reason="valgrind counts the instructions"
)


def test_request_takes_no_more_instructions_than_stored():
    """Within 3 %. What is meant to cost more is stored with it: bench/instructions.py --update."""
    counter = [sys.executable, str(ROOT / "bench" / "instructions.py"), "--quick", "--program"]
    failure = failure_of([*counter, str(build(PLAIN, "serve_bench"))], timeout=600)
    if failure is not None:
        pytest.fail(failure, pytrace=False)


@pytest.mark.parametrize("bench", ["codec_bench", "plan_bench", "sketch_bench"])
def test_part_takes_no_more_instructions_than_stored(bench):
    """Within 3 %, as above, line by line: bench/micro.py --update."""
    counter = [sys.executable, str(ROOT / "bench" / "micro.py"), "--bench", bench, "--folder"]
    failure = failure_of([*counter, str(build(PLAIN, bench).parent)], timeout=600)
    if failure is not None:
        pytest.fail(failure, pytrace=False)
