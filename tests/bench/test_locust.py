"""The guard of latencies: a healthy server passes, one that is three times as slow does not."""

import subprocess
import sys
from pathlib import Path

GUARD = Path(__file__).parents[2] / "bench" / "locust" / "guard.py"
# Other tests run beside this one: a healthy server may be held up for a while, and its tails are
# theirs as well. A slow one is always slow.
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


def test_slowdown_is_caught_and_a_healthy_server_passes(tmp_path):
    slow = guard("--slow", "3")
    assert not kept(slow)["p50"]
    assert slow.returncode == 1

    tries = []
    for _ in range(TRIES):
        tries.append(guard("--html", str(tmp_path)))
        if all(kept(tries[-1])[name] for name in JUDGED):
            break
    assert all(kept(tries[-1])[name] for name in JUDGED), [each.stdout for each in tries]
    assert "infer" in (tmp_path / "steady.html").read_text()
