"""fastserve beside other model servers, on the same machine with the same models: `make peers`.

Each peer is installed from the package index into an environment of its own under build/peers and
serves the same ONNX file. One generator drives both in turn: as many requests as the peer answers,
then a quarter, half and three quarters of that. docs/peers.md says what is compared and how.

    python bench/peers/run.py [--only NAME ...] [--models NAME ...] [--repeats N] [--seconds S]
                              [--arrivals even|poisson] [--json FILE] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # programs share no package
sys.path.append(str(Path(__file__).resolve().parent / "shared"))

import payload
from peers import plots, report
from peers.measure import Bench
from peers.peer import PEERS, ROOT
from repository import bench_models


def machine() -> str:
    """Returns one line about where and how busy: ratios mean more than absolute numbers."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(": ", 1)[1] for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    load = os.getloadavg()[0]
    day = datetime.now(tz=UTC).date()
    return (
        f"{day}, {processor}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load average at the end {load:.1f} (a quiet machine: about 2); "
        "server on one core, client on the other"
    )


def main() -> None:
    """Measures what is asked for, prints it and writes it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(PEERS), default=list(PEERS))
    parser.add_argument("--models", nargs="+", choices=sorted(payload.SHAPES), default=["mlp"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--arrivals", choices=["even", "poisson"], default="even")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "peers" / "results")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that servers are ended
    repository = bench_models()
    comparisons = []
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        is_poisson = arguments.arrivals == "poisson"
        often = arguments.repeats, arguments.seconds
        bench = Bench(repository, Path(folder), *often, is_poisson=is_poisson)
        for model in arguments.models:
            for name in arguments.only:
                print(f"measuring {name} with {model} ...", file=sys.stderr, flush=True)
                comparisons.append(bench.compare(PEERS[name], model))
    words = machine()
    report.show(comparisons, words)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "peers.md").write_text(report.markdown(comparisons, words))
    record = {"machine": words, "comparisons": [one.record() for one in comparisons]}
    where = arguments.json or arguments.output / "peers.json"
    where.write_text(json.dumps(record, indent=1))
    drawn = plots.draw(comparisons, arguments.output)
    print(f"written: {where}, {', '.join(map(str, [arguments.output / 'peers.md', *drawn]))}")


if __name__ == "__main__":
    main()
