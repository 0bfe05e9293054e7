"""Instructions of the codec, the batch planner and the sketches, line by line: may only fall.

    python bench/micro.py [--bench NAME ...] [--update]

Runs csrc/bench/*_bench.cc under callgrind with the argument `count`; each line printed is a body
that callgrind counted by itself. None may be more than 3 % above bench/instructions.json, and one
that is stored must not be missing. Counts belong to a compiler: another one's are other numbers.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from instructions import ROOT, STORED, TOLERANCE

BENCHES = ("codec_bench", "plan_bench", "sketch_bench")


def counts(program: Path) -> dict[str, int]:
    """Returns the instructions of one call by the name of the line."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "profile"
        options = ["--tool=callgrind", f"--callgrind-out-file={out}"]
        options += ["--dump-before=*counting_begins*", "--dump-after=*fastserve::counted<*"]
        done = subprocess.run(
            ["valgrind", *options, str(program), "count"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{program} count: {done.stdout}{done.stderr}")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        found = {}
        for number, (calls, name) in enumerate(lines, start=1):
            # Each body's profile comes after that of what led to it.
            profile = out.with_name(f"{out.name}.{2 * number}").read_text(encoding="utf-8")
            if "Trigger: --dump-after=void fastserve::counted<" not in profile:
                raise SystemExit(f"{program}: not the profile of {name!r}")
            total = re.search(r"^(?:summary|totals): (\d+)", profile, flags=re.MULTILINE)
            if total is None:
                raise SystemExit(f"{program}: nothing was counted for {name!r}")
            found[name] = round(int(total.group(1)) / int(calls))
    return found


def problems(stored: dict[str, int], found: dict[str, int]) -> list[str]:
    """Returns what grew by more than the tolerance, is missing, or is not stored."""
    said = [f"{name}: is stored and was not counted" for name in stored.keys() - found.keys()]
    for name, now in found.items():
        if name not in stored:
            said.append(f"{name}: is not stored")
        elif now > stored[name] * TOLERANCE:
            said.append(f"{name}: grew from {stored[name]:,} to {now:,}")
    return said


def main() -> None:
    """Prints the counts and compares them with the stored ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", nargs="+", choices=BENCHES, default=BENCHES)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--update", action="store_true", help="store what was counted")
    arguments = parser.parse_args()
    table = json.loads(STORED.read_text(encoding="utf-8"))
    said = []
    for bench in arguments.bench:
        found = counts(arguments.folder / bench)
        stored = table.get(bench, {})
        print(bench)
        for name, now in found.items():
            print(f"  {name:42} {now:>10,}   stored {stored.get(name, 0):>10,}")
        said += [f"{bench}: {each}" for each in problems(stored, found)]
        table[bench] = found
    if arguments.update:
        STORED.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    elif said:
        sys.exit("\n".join([*said, "mend it, or store it (--update) and say why"]))


if __name__ == "__main__":
    main()
