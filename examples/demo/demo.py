"""The program behind `make demo`: train, serve, ask, compare.

Trains the demo's models, starts a server over them, sends every held-out row through real gRPC
clients many times over, and holds each answer against ONNX Runtime's own in this process. Ends with
status 1 when any differs. KEEP=1 leaves the server running and prints lines to paste.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import load
import models
import numpy as np
import server as servers
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "demo"
REQUESTS = 10_000  # for each model, several in flight
LONE_REQUESTS = 1_000  # for each model, one in flight
DEFAULT_GRPC_PORT = 8001
DEFAULT_HTTP_PORT = 8002
# A batch adds the same numbers in another order than one row alone does.
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Result:
    """What one model did: its score over the wire and in process, and how fast."""

    model: models.DemoModel
    wire_score: float
    process_score: float
    differing: int  # answers that are not ONNX Runtime's own
    requests: int
    requests_per_second: float
    lone_seconds: NDArray[np.float64]


def measure(clients: load.Clients, target: str, model: models.DemoModel) -> Result:
    """Sends the model's rows and compares every answer with that in process."""
    expected = load.plain(model.predict()[model.answer])
    requests = max(REQUESTS, 2 * len(model.rows))
    answers = clients.send(target, model, requests)
    wanted = expected[answers.row_numbers]
    if model.metric == "R2":
        same = np.isclose(answers.values, wanted, rtol=FLOAT_TOLERANCE, atol=0)
    else:
        same = answers.values == wanted
    return Result(
        model,
        model.score(answers.by_row(len(model.rows))),
        model.score(expected),
        int(np.count_nonzero(~same)),
        len(answers.values),
        len(answers.values) / answers.seconds,
        load.one_at_a_time(target, model, LONE_REQUESTS),
    )


def show(console: Console, results: list[Result]) -> None:
    """Prints the table and one line under it."""
    in_flight = load.PROCESSES * load.IN_FLIGHT
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    table.add_column("score", no_wrap=True)
    for header in ("wire", "in process", "requests/s", "p50 ms", "p99 ms"):
        table.add_column(header, justify="right", no_wrap=True)
    for result in results:
        p50, p99 = np.percentile(result.lone_seconds * 1e3, [50, 99])
        mark = "[green]=[/]" if result.differing == 0 else f"[red]{result.differing} differ[/]"
        table.add_row(
            result.model.name,
            result.model.metric,
            f"{result.wire_score:.4f}",
            f"{mark} {result.process_score:.4f}",
            f"{result.requests_per_second:,.0f}",
            f"{p50:.2f}",
            f"{p99:.2f}",
        )
    console.print(table)
    total = sum(result.requests for result in results)
    console.print(
        f"wire: {total:,} requests of one row, each answer held against ONNX Runtime's own,\n"
        f"in process. requests/s: {in_flight} in flight; p50, p99: one in flight. The clients are\n"
        "Python and share the CPUs with the server: the speed is theirs, `make bench`\n"
        "measures the server.",
        highlight=False,
    )


def write_sample(model: models.DemoModel) -> Path:
    """Writes two held-out rows as the JSON that `fastserve infer` reads."""
    path = FOLDER / f"{model.name}.json"
    rows: list[Any] = model.rows[:2].tolist()
    path.write_text(json.dumps({model.input_name: rows}))
    return path


def print_lines_to_paste(
    console: Console, server: servers.Server, log: Path, built: list[models.DemoModel]
) -> None:
    """Says how to ask the running server, by each means that people have at hand."""
    samples = {model.name: os.path.relpath(write_sample(model)) for model in built}
    bin_folder = Path(os.path.relpath(sys.executable)).parent
    python, fastserve = bin_folder / "python", bin_folder / "fastserve"
    metadata_method = "inference.GRPCInferenceService/ModelMetadata"
    console.print(
        f"""
The server is still running (pid {server.process.pid}, log {os.path.relpath(log)}). Paste:

  {fastserve} infer breast_cancer --data {samples["breast_cancer"]} --endpoint {server.grpc}
  {fastserve} infer docstring_topics --endpoint {server.grpc} \\
    --input text='["return a new event loop", "parse a mime header of the message"]'
  {fastserve} model list --endpoint {server.grpc}
  curl -s http://{server.http}/metrics | grep fastserve_
  grpcurl -plaintext -d '{{"name": "digits"}}' {server.grpc} {metadata_method}

  # fastserve's own client
  {python} - <<'EOF'
  import numpy as np
  from fastserve.client import Client
  with Client("{server.grpc}") as client:
      print(client.infer("digits", {{"image": np.zeros((1, 1, 8, 8), np.float32)}})["label"])
  EOF

  # Triton's client: pip install "tritonclient[grpc]>=2.70"
  {python} - <<'EOF'
  import numpy as np
  from tritonclient.grpc import InferenceServerClient, InferInput
  rows = InferInput("features", [1, 10], "FP32")
  rows.set_data_from_numpy(np.zeros((1, 10), np.float32))
  print(InferenceServerClient("{server.grpc}").infer("diabetes", [rows]).as_numpy("variable"))
  EOF

  # drains, then ends
  kill {server.process.pid}
""".replace("\n  ", "\n"),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def main() -> int:
    """Runs the demo; returns the exit status."""
    console = Console()
    keep = os.environ.get("KEEP", "") not in {"", "0"}
    FOLDER.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    built = models.build(FOLDER)
    console.print(
        f"trained and exported {len(built)} models, {time.perf_counter() - started:.1f} s"
    )

    log = FOLDER / "server.log"
    ports = (DEFAULT_GRPC_PORT, DEFAULT_HTTP_PORT)
    chosen = ports if keep and all(servers.is_free(port) for port in ports) else (0, 0)
    server = servers.Server(FOLDER / "repository", log, *chosen)
    megabytes = server.resident_bytes() / 1e6
    console.print(
        f"server ready in {server.seconds_to_ready:.2f} s, gRPC {server.grpc}, "
        f"HTTP {server.http}, {megabytes:.0f} MB resident",
        highlight=False,
    )
    is_kept = False
    clients = load.Clients()
    try:
        results = [measure(clients, server.grpc, model) for model in built]
        show(console, results)
        is_right = all(
            result.differing == 0 and round(result.wire_score - result.process_score, 4) == 0
            for result in results
        )
        if not is_right:
            console.print("[red]answers over the wire differ from those in process[/]")
            return 1
        if keep:
            print_lines_to_paste(console, server, log, built)
            is_kept = True
        return 0
    finally:
        clients.close()
        if not is_kept:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
