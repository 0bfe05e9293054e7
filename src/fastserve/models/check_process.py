"""The process in which a model is tried before the server loads it; imports nothing heavy.

It opens ONNX Runtime once and forks one child for each check: a crash, a hang or a hunger for
memory ends that child and nothing else. The server's end is fastserve.models.checker.

Only a process with a single thread may fork and go on in the child. ONNX Runtime's environment
starts none when its telemetry is off (csrc/fastserve/runtime/library.cc); whether that is so is
tried once. If it is, children inherit the environment and what the first session of a process
sets up, which saves each of them 40 ms and 8 MB; else each makes its own.

One check is a message on the control socket with four descriptors: a sealed memfd (8 bytes of
length, a JSON request, then the files one after another), a pipe for the child's report, one for
what the library prints, and one on which this process says how the child ended. When nobody reads
that last pipe any more, or the control socket closes, the child is killed.
"""

import contextlib
import ctypes
import gc
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from fastserve._core import core
from fastserve.thread_priority import lower_priority

READY: Final = b"ready"
# Any number does; the same one makes a check repeatable.
_PROBE_SEED: Final = 1
_DESCRIPTORS: Final = 4
_LENGTH_BYTES: Final = 8
_MAX_READ: Final = 1 << 30
_MAX_OPEN_FILES: Final = 64
_PR_SET_PDEATHSIG: Final = 1
# IR version 8, opset 17: y = Identity(x), one float.
_IDENTITY: Final = (
    b"\x08\x08"
    b"\x3a\x37\x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity\x12\x01g"
    b"\x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01"
    b"\x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01"
    b"\x42\x02\x10\x11"
)
# How ONNX Runtime, the C++ library and the kernel say that the limit was met.
OUT_OF_MEMORY: Final = re.compile(
    r"bad_alloc|allocate memory|out of memory|MemoryError", re.IGNORECASE
)


def main() -> None:
    """Serves checks until the control socket closes. `argv`: its descriptor, the library's path."""
    control = socket.socket(fileno=int(sys.argv[-2]))
    path = sys.argv[-1]
    # The server tells this process to end by closing the socket; a signal for its group, or from a
    # service manager that stops all at once, must not end a check that it still waits for.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    library = _open_warm(path) if _stays_single(path) else None
    gc.freeze()
    control.send(READY)
    _Parent(control, path, library).serve()


def _open_warm(path: str) -> core.Library:
    """The library with its environment, after a first session."""
    library = core.Library(path)
    core.Session(library, _IDENTITY, {}, "check")
    return library


def _stays_single(path: str) -> bool:
    """Would this process have one thread still? Tried by a child, since there is no way back."""
    pid = os.fork()
    if pid == 0:
        try:
            _open_warm(path)
            os._exit(len(list(Path("/proc/self/task").iterdir())) - 1)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return status == 0


class _Parent:
    """Forks checks and says how they ended."""

    def __init__(self, control: socket.socket, path: str, library: core.Library | None) -> None:
        self._control = control
        self._path = path
        self._library = library
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        # By the descriptor that becomes readable when the child has ended: pid, who is told.
        self._children: dict[int, tuple[int, int]] = {}

    def serve(self) -> None:
        while True:
            # New checks last: their descriptors may get numbers that this round is about.
            control = self._control.fileno()
            for descriptor in sorted((ready for ready, _ in self._poll.poll()), key=control.__eq__):
                if descriptor == control:
                    if not self._take():
                        self._kill_all()
                        return
                elif descriptor in self._children:
                    self._reap(descriptor)
                else:
                    self._kill_unwanted(descriptor)

    def _take(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, 64, _DESCRIPTORS)
        if not message:
            return False
        if len(descriptors) != _DESCRIPTORS:
            for descriptor in descriptors:
                os.close(descriptor)
            return True
        *given, told = descriptors
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _write(told, {"error": f"no process could be started: {error.strerror}"})
            os.close(told)
        else:
            if pid == 0:
                _become_child(lambda: self._library or core.Library(self._path), parent, *given)
            handle = os.pidfd_open(pid)
            self._children[handle] = pid, told
            self._poll.register(handle, select.POLLIN)
            self._poll.register(told, 0)
        for descriptor in given:
            os.close(descriptor)
        return True

    def _reap(self, handle: int) -> None:
        pid, told = self._children.pop(handle)
        _, status, usage = os.wait4(pid, 0)
        _write(told, {"status": status, "max_resident_bytes": usage.ru_maxrss * 1024})
        for descriptor in (handle, told):
            with contextlib.suppress(KeyError):  # when nobody listens it was taken off already
                self._poll.unregister(descriptor)
            os.close(descriptor)

    def _kill_unwanted(self, told: int) -> None:
        with contextlib.suppress(KeyError):  # its child was reaped in this very round
            self._poll.unregister(told)
        for pid, listener in self._children.values():
            if listener == told:
                os.kill(pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        for pid, _ in self._children.values():
            os.kill(pid, signal.SIGKILL)


def _become_child(
    open_library: Callable[[], core.Library], parent: int, memory: int, report: int, printed: int
) -> NoReturn:
    """Runs one check and ends the process: nothing of the parent's code may run here again."""
    status = 1
    try:
        # The parent has one thread, so its end is that of the process.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(status)
        lower_priority()  # before anything is read: a model is large
        os.set_blocking(printed, False)  # what nobody reads is dropped
        os.dup2(printed, 2)
        kept = sorted((memory, report))
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        for low, high in zip([2, *kept], [*kept, most], strict=True):
            os.closerange(low + 1, high)
        request, files = _read_request(memory)
        os.close(memory)
        _limit(request)
        _write(report, _check(open_library, request, files))
        status = 0
    except BaseException as error:  # noqa: BLE001 - the parent's frames are below this one
        with contextlib.suppress(BaseException):
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _limit(request: Mapping[str, Any]) -> None:
    """From here on the child can hurt itself alone."""
    seconds = float(request["seconds"])
    memory = int(request["memory_bytes"])
    cpu_seconds = int(seconds) * 2 + 2
    limits = {
        # Drivers of accelerators reserve far more addresses than they use.
        resource.RLIMIT_AS if request["only_cpu"] else resource.RLIMIT_DATA: memory,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _MAX_OPEN_FILES,
    }
    for kind, value in limits.items():
        _, most = resource.getrlimit(kind)
        bound = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (bound, bound))
    # If the machine itself runs out of memory, the child goes before the server.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _read_request(memory: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    length = int.from_bytes(os.pread(memory, _LENGTH_BYTES, 0), "little")
    position = _LENGTH_BYTES + length
    request = json.loads(_read(memory, _LENGTH_BYTES, length))
    files = {}
    for name, size in request["files"]:
        files[name] = _read(memory, position, size)
        position += size
    return request, files


def _read(memory: int, position: int, size: int) -> bytes:
    if size <= _MAX_READ:
        return os.pread(memory, size, position)
    pieces = [
        os.pread(memory, min(_MAX_READ, size - done), position + done)
        for done in range(0, size, _MAX_READ)
    ]
    return b"".join(pieces)


def _check(
    open_library: Callable[[], core.Library],
    request: Mapping[str, Any],
    files: dict[str, bytes],
) -> dict[str, Any]:
    """What the server would do with the model: build a session, probe it, run one made-up row."""
    model = files.pop("")
    started = time.monotonic()
    try:
        library = open_library()
        before = _private_bytes()
        session = core.Session(library, model, request["options"], request["log_id"], files)
        is_independent, verdict = session.probe_row_independence(_PROBE_SEED)
        problem = _run(session)
        if OUT_OF_MEMORY.search(problem) or OUT_OF_MEMORY.search(verdict):
            return {"is_out_of_memory": True}
        return {
            "inputs": session.inputs,
            "outputs": session.outputs,
            "metadata": session.metadata,
            "are_rows_independent": is_independent,
            "rows_verdict": verdict,
            "run_problem": problem,
            "memory_bytes": max(0, _private_bytes() - before),
            "seconds": time.monotonic() - started,
        }
    except MemoryError:
        return {"is_out_of_memory": True}
    except core.CoreError as error:
        if OUT_OF_MEMORY.search(str(error)):
            return {"is_out_of_memory": True}
        return {"code": error.code, "message": str(error)}


def _run(session: core.Session) -> str:
    """Why a row of zeros could not be run; a model may refuse it and serve real ones well."""
    engine = core.Engine(
        executors=1,
        max_ports=1,
        max_queue_rows=1,
        max_queue_bytes=1,
        max_total_queue_bytes=1,
        inline_budget_ns=0,
    )
    version = engine.make_version(
        session,
        model="check",
        number=1,
        is_batching=False,
        has_rows_axis=False,
        max_rows=1,
        has_fixed_rows=False,
        max_delay_ns=0,
        weight=1,
        max_queue_rows=1,
        max_queue_bytes=1,
        allow_inline=False,
    )
    try:
        version.warm_up(1)
    except core.CoreError as error:
        return str(error)
    return ""


def _private_bytes() -> int:
    """Memory that is this process's alone. Source: man 5 proc, smaps_rollup."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def _write(descriptor: int, answer: Mapping[str, Any]) -> None:
    data = memoryview(json.dumps(answer).encode())
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(descriptor, data) :]
