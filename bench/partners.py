"""What a figure is divided by, measured in the same run: ONNX Runtime alone, a plain TCP copy.

Run as a program on the server's core; prints one number:

    python partners.py runtime MODEL.onnx ROWS SECONDS   rows per second in a loop, one thread
    python partners.py once MODEL.onnx ROWS SECONDS REST   median microseconds of one run; sleeps
                                                         REST seconds after each
    python partners.py copy BYTES SECONDS                MB per second received on loopback
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT_CORE = 1
CHUNK_BYTES = 256 * 1024


def session_run(model: str, rows: int) -> Callable[[], object]:
    """Returns a function that runs the model once on `rows` rows, as the server configures it."""
    import onnxruntime as ort  # noqa: PLC0415  only the modes that need it pay for its import

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    spec = session.get_inputs()[0]
    shape = (rows, *spec.shape[1:])
    feed = {spec.name: np.random.default_rng(1).normal(size=shape).astype(np.float32)}
    return lambda: session.run(None, feed)


def run_times(model: str, rows: int, seconds: float, rest: float = 0.0) -> list[float]:
    """Returns each run's time in seconds, after a warm-up; sleeps `rest` seconds between."""
    run = session_run(model, rows)
    for _ in range(3):
        run()
    times = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        run()
        times.append(time.perf_counter() - before)
        if rest:
            time.sleep(rest)
    return times


def send(port: int, size: int, seconds: float) -> None:
    """Sends blocks of `size` bytes from the client's core until the time is over."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    block = bytes(size)
    end = time.perf_counter() + seconds
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while time.perf_counter() < end:
            connection.sendall(block)


def copy_rate(size: int, seconds: float) -> float:
    """Returns MB per second that this process receives from another over loopback TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sender = multiprocessing.Process(target=send, args=(port, size, seconds))
        sender.start()
        connection, _ = listener.accept()
        place = bytearray(CHUNK_BYTES)
        received = 0
        before = time.perf_counter()
        with connection:
            while count := connection.recv_into(place):
                received += count
        elapsed = time.perf_counter() - before
        sender.join()
    return received / elapsed / 1e6


def main(arguments: list[str]) -> None:
    """Prints the number that the command line asks for."""
    match arguments:
        case ["runtime", model, rows, seconds]:
            times = run_times(str(Path(model)), int(rows), float(seconds))
            print(int(rows) * len(times) / sum(times))
        case ["once", model, rows, seconds, rest]:
            times = run_times(str(Path(model)), int(rows), float(seconds), float(rest))
            print(float(np.median(times)) * 1e6)
        case ["copy", size, seconds]:
            print(copy_rate(int(size), float(seconds)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
