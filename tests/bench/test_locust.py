"""The guard of latencies: a healthy server passes, one that is three times as slow does not."""

import subprocess
import sys
from pathlib import Path

GUARD = Path(__file__).parents[2] / "bench" / "locust" / "guard.py"
# Other tests run beside this one: they may hold up a healthy server for a while, or what it is
# compared with, and its tails are theirs as well.
TRIES = 3
JUDGED = ("answered", "errors", "p50")


def guard(*options):
    return subprocess.run(
        [sys.executable, str(GUARD), "--shape", "steady", "--seconds", "4", *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def kept(outcome):
    """By the budget whether it was kept."""
    rows = [line.strip(" │").split("│") for line in outcome.stdout.splitlines() if "steady" in line]
    found = {row[1].split()[0]: row[-1].strip() == "yes" for row in rows}
    assert found.keys() >= set(JUDGED), outcome.stdout + outcome.stderr
    return found


def first_to(succeed, *options):
    """The first of a few outcomes that `succeed` says yes to."""
    tries = []
    for _ in range(TRIES):
        tries.append(guard(*options))
        if succeed(kept(tries[-1])):
            return tries[-1]
    raise AssertionError([each.stdout for each in tries])


def test_slowdown_is_caught():
    outcome = first_to(lambda found: not found["p50"], "--slow", "3")
    assert outcome.returncode == 1


def test_healthy_server_passes(tmp_path):
    first_to(lambda found: all(found[name] for name in JUDGED), "--html", str(tmp_path))
    assert "infer" in (tmp_path / "steady.html").read_text()
