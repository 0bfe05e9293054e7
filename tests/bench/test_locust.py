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


def test_slowdown_is_caught():
    tries = []
    for _ in range(TRIES):
        tries.append(guard("--slow", "3"))
        if not kept(tries[-1])["p50"]:
            break
    assert not kept(tries[-1])["p50"], [each.stdout for each in tries]
    assert tries[-1].returncode == 1


def test_healthy_server_passes(tmp_path):
    tries = []
    for _ in range(TRIES):
        tries.append(guard("--html", str(tmp_path)))
        if all(kept(tries[-1])[name] for name in JUDGED):
            break
    assert all(kept(tries[-1])[name] for name in JUDGED), [each.stdout for each in tries]
    assert "infer" in (tmp_path / "steady.html").read_text()
