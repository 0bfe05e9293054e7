"""Fixtures that every test may ask for: ports, the demo's models, a server as a real process."""

import fcntl
import hashlib
import json
import logging
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "examples" / "demo"
BENCH_MODELS = ROOT / "bench" / "models" / "build.py"
# Theirs alone: a server refuses settings that it does not know.
OF_TESTS = ("FASTSERVE_SOAK", "FASTSERVE_SEED")
READY_SECONDS = 60  # under a sanitizer on a busy machine; a plain server takes half a second
STOP_SECONDS = 30


class ServerProcess:
    """`python -m fastserve serve` as a child process, from its `ready` line to its exit status.

    Without a repository the arguments, or a settings file among them, have to name one.
    `grpc` and `http` are the addresses that it really bound, `logs` the JSON log lines so far.
    """

    def __init__(self, repository, *arguments, env=None):
        command = [
            *(sys.executable, "-m", "fastserve", "serve"),
            *([] if repository is None else [str(repository)]),
            *("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
            *(str(argument) for argument in arguments),
        ]
        environment = {**os.environ, **(env or {})}
        for name in OF_TESTS:
            environment.pop(name, None)
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.logs = []
        self.other_lines = []
        self._events = queue.SimpleQueue()
        # The pipe is drained to its end: a server that logs much must not block on us.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            ready = self.wait_for("ready", READY_SECONDS)
        except BaseException:
            self.kill()
            raise
        self.grpc = ready["grpc"]
        self.http = ready["http"]

    @property
    def pid(self):
        return self.process.pid

    def _read(self):
        for line in self.process.stderr:
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                self.logs.append(record)
                self._events.put(record)
            else:
                self.other_lines.append(line)
        self._events.put(None)

    def wait_for(self, event, seconds):
        """Returns the next log line with that event."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                record = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event!r} within {seconds} s\n{self.said()}") from None
            if record is None:
                self.process.wait(STOP_SECONDS)
                raise AssertionError(
                    f"exit status {self.process.returncode} before {event!r}\n{self.said()}"
                )
            if record.get("event") == event:
                return record

    def first(self, event, seconds):
        """Returns the first log line with that event, also one from before `ready`."""
        # A line is in `logs` before it is an event: it is found here or there.
        so_far = (record for record in self.logs if record.get("event") == event)
        return next(so_far, None) or self.wait_for(event, seconds)

    def said(self):
        return "".join([*(f"{record}\n" for record in self.logs[-50:]), *self.other_lines[-50:]])

    def stop(self, expected=0):
        """Sends SIGTERM to this process alone and fails when its exit status is another."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"still runs {STOP_SECONDS} s after SIGTERM\n{self.said()}"
            ) from None
        self._close()
        assert code == expected, f"exit status {code}, expected {expected}\n{self.said()}"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self):
        self._reader.join(STOP_SECONDS)
        self.process.stderr.close()


@dataclass(frozen=True)
class HeldOut:
    """Rows that a demo model was not trained on, and what ONNX Runtime answers for them."""

    model: str
    input_name: str
    rows: np.ndarray
    labels: np.ndarray
    outputs: dict


@dataclass(frozen=True)
class DemoModels:
    """The demo's repository folder and the held-out rows of its models."""

    folder: Path

    @property
    def repository(self):
        return self.folder / "repository"

    @property
    def names(self):
        folders = (path.name for path in self.repository.iterdir())
        return sorted(name for name in folders if not name.startswith("."))

    def held_out(self, model):
        with np.load(self.folder / "held_out" / f"{model}.npz") as columns:
            outputs = {
                name.removeprefix("output_"): columns[name]
                for name in columns.files
                if name.startswith("output_")
            }
            (input_name,) = set(columns.files) - {"labels", *(f"output_{n}" for n in outputs)}
            rows = columns[input_name]
            rows = rows.astype(object) if rows.dtype.kind == "U" else rows
            return HeldOut(model, input_name, rows, columns["labels"], outputs)


def pytest_collection_modifyitems(items):
    """Puts the C++ tests first: compiling is the longest chain, and other workers run beside it."""
    items.sort(key=lambda item: item.get_closest_marker("cpp") is None)


def built_once(name, program, sources):
    """Runs `program FOLDER` once for each state of its sources; half a folder never counts.

    Of several workers that ask at the same time one runs it, and the others wait.
    """
    digest = hashlib.sha256(sys.version.encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    folder = ROOT / "build" / name / digest.hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = folder.with_name(f"{folder.name}.{os.getpid()}")
            done = subprocess.run(
                [sys.executable, str(program), str(partial)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            partial.rename(folder)
    return folder


@pytest.fixture(autouse=True)
def logs_end_with_the_test():
    """What a test configured would write the next one's lines to a stream that is closed by then.

    Which test is next is for the workers to find out.
    """
    root = logging.getLogger()
    level = root.level
    yield
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        structlog.reset_defaults()
        ours = [h for h in root.handlers if type(h).__module__ == "fastserve.observe.logs"]
        for handler in ours:
            root.removeHandler(handler)
        root.setLevel(level)


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory):
    """A CA, and certificates of it for the server (models.test, 127.0.0.1) and for a client."""
    folder = tmp_path_factory.mktemp("tls")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        *("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"),
        cwd=folder,
    )
    for name, extension in (
        ("server", "subjectAltName=DNS:models.test,IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ):
        (folder / f"{name}.ext").write_text(extension)
        openssl(
            *("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr"),
            *("-subj", f"/CN={name}"),
            cwd=folder,
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
            cwd=folder,
        )
    return folder


@pytest.fixture(scope="session")
def demo_models():
    """The four demo models; trained when their source changed, else from build/."""
    return DemoModels(built_once("demo-models", DEMO / "models.py", DEMO.glob("*.py")))


@pytest.fixture(scope="session")
def bench_repository():
    """The repository of the bench's models: mlp, gbt, conv, gap."""
    return built_once("bench-models", BENCH_MODELS, BENCH_MODELS.parent.glob("*.py"))


@pytest.fixture
def free_port():
    """A function that returns a TCP port of 127.0.0.1 that nothing listens on."""

    def find():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find


@pytest.fixture
def start_server():
    """A function `(repository, *arguments, env=None) -> ServerProcess`; each is stopped at the end.

    A server that the test itself stopped or killed is left alone.
    """
    started = []

    def start(repository, *arguments, env=None):
        server = ServerProcess(repository, *arguments, env=env)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.returncode is None:
            server.stop()


@pytest.fixture(scope="session")
def demo_server(demo_models):
    """One server over the demo's models, shared by all tests that change nothing in it."""
    server = ServerProcess(demo_models.repository)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def soak():
    """True when every test with many rounds is to run all of them (FASTSERVE_SOAK=1)."""
    return os.environ.get("FASTSERVE_SOAK", "0") not in {"", "0"}


@pytest.fixture
def source():
    """Random numbers; the seed is shown when the test fails (FASTSERVE_SEED repeats it)."""
    seed = int(os.environ.get("FASTSERVE_SEED") or random.SystemRandom().randrange(1 << 32))
    sys.stderr.write(f"seed {seed}\n")
    return random.Random(seed)


@pytest.fixture
def memory_path(tmp_path):
    """A folder whose fsync is free where there is such a place: for loops over every byte."""
    memory = Path("/dev/shm")  # noqa: S108 - a file system, not a file
    if not memory.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="fastserve-", dir=memory))
    yield folder
    shutil.rmtree(folder)
