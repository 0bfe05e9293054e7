"""Tries a version in another process first: whatever its file does there, this one goes on.

The other process (fastserve.models.check_process) is started once and forks a child for each check,
so a check of a small model costs some milliseconds more than the load itself.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

import fastserve
from fastserve._core import core
from fastserve.decoding import decoder
from fastserve.errors import FastserveError, ServerDraining, VersionFailed, from_status
from fastserve.huge_pages import not_asking
from fastserve.models.check_process import OUT_OF_MEMORY, READY
from fastserve.models.pinned import PinnedVersion

_GIB: Final = 1 << 30
# A session holds its weights several times while it is built: as read, parsed, optimised, packed.
_BYTES_PER_FILE_BYTE: Final = 8
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 5
# The child ends itself at its limit; this is for one that does not.
_GRACE_SECONDS: Final = 5
_MAX_REPORT_BYTES: Final = 8 << 20
_SHOWN_BYTES: Final = 400
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
# Isolated and without site: the same fastserve as here, and nothing of the environment.
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from fastserve.models.check_process import main; main()"
)


class CheckLimits(msgspec.Struct, frozen=True):
    """What one check may take. `memory_bytes` 0: 1 GiB and eight times the files."""

    seconds: float = 60.0
    memory_bytes: int = 0

    def memory_for(self, file_bytes: int) -> int:
        return self.memory_bytes or _GIB + _BYTES_PER_FILE_BYTE * file_bytes


DEFAULT_LIMITS: Final = CheckLimits()


class CheckReport(msgspec.Struct, frozen=True):
    """What a version that passed its check said about itself."""

    inputs: tuple[core.TensorSpec, ...]
    outputs: tuple[core.TensorSpec, ...]
    metadata: core.ModelMetadata
    # The probe's finding (csrc/fastserve/runtime/row_independence.h) and its words.
    are_rows_independent: bool
    rows_verdict: str
    # Why a made-up row could not be run; empty when it could.
    run_problem: str
    # By which the process grew from before the session was built to after its first runs.
    memory_bytes: int
    seconds: float


class _Refusal(msgspec.Struct, frozen=True):
    code: int = 13
    message: str = ""
    is_out_of_memory: bool = False


class _End(msgspec.Struct, frozen=True):
    """How the child ended: a status as of waitpid, or why there was no child."""

    status: int = 0
    max_resident_bytes: int = 0
    error: str = ""


class _Outcome(msgspec.Struct):
    report: bytes = b""
    printed: bytes = b""
    end: bytes = b""
    is_late: bool = False


class Checker:
    """Owns the process that checks. Thread: any number of checks at once."""

    def __init__(
        self, library_path: Path, *, python: str = sys.executable, is_eager: bool = True
    ) -> None:
        """Starts the process and does not wait for it: the first check does.

        One that is not eager starts it at the first check.
        """
        self._library_path = library_path
        self._python = python
        self._lock = threading.Lock()
        self._is_closed = False
        self._process: _Process | None = _Process(python, library_path) if is_eager else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the process that forks the checks; None when it is to be started again."""
        process = self._process
        return None if process is None else process.pid

    def check(
        self,
        pinned: PinnedVersion,
        options: Mapping[str, Any],
        limits: CheckLimits = DEFAULT_LIMITS,
    ) -> CheckReport:
        """Builds and runs the version over there, with one thread; blocks, without the GIL.

        Errors: the library's own, as loading it here would raise; VersionFailed when the check was
        killed, or would have taken more than `limits`; ServerDraining after `close`.
        """
        memory = _request_memory(pinned, options, limits)
        try:
            for _ in range(2):
                process = self._running()
                outcome = process.run(memory, limits.seconds)
                if outcome.end or outcome.is_late:
                    return _judge(outcome, limits, pinned.file_bytes)
                self._discard(process)
        finally:
            os.close(memory)
        raise VersionFailed(
            "the process that checks models was killed twice while it checked this one"
        )

    def close(self) -> None:
        """Ends the process and every check in it."""
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def _running(self) -> "_Process":
        with self._lock:
            if self._is_closed:
                raise ServerDraining("the server is stopping: the check was given up")
            if self._process is None:
                self._process = _Process(self._python, self._library_path)
            process = self._process
            try:
                process.wait_until_ready()
            except VersionFailed:
                self._process = None
                process.close()
                raise
            return process

    def _discard(self, process: "_Process") -> None:
        with self._lock:
            if self._process is process:
                self._process = None
        process.close()


class _Process:
    """One life of the process that forks checks."""

    def __init__(self, python: str, library_path: Path) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._is_ready = False
        # A process group of its own, which a terminal's Ctrl-C is not for, in the server's session:
        # with the kernel's autogroups another session's niceness would not count against ours. No
        # parent-death signal, which would be about the thread that starts it; the socket closes
        # when the server is gone.
        self._said = os.memfd_create("fastserve-check-stderr")
        try:
            self._process = subprocess.Popen(
                [
                    *(python, "-I", "-S", "-c", _PROGRAM),
                    str(Path(fastserve.__file__).resolve().parents[1]),
                    *(str(theirs.fileno()), str(library_path)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=(theirs.fileno(),),
                process_group=0,
                cwd="/",
                # Each thread's own arena would take 128 MiB of addresses, which are limited.
                env=not_asking(os.environ) | {"MALLOC_ARENA_MAX": "2"},
            )
        except OSError as error:
            self._control.close()
            os.close(self._said)
            raise VersionFailed(f"the process that checks models cannot start: {error}") from error
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Errors: VersionFailed with what the process printed."""
        if self._is_ready:
            return
        self._control.settimeout(_START_SECONDS)
        try:
            answer = self._control.recv(len(READY))
        except OSError as error:
            raise VersionFailed(
                f"the process that checks models did not start in {_START_SECONDS} s: {error}"
            ) from error
        self._control.settimeout(None)
        if answer != READY:
            said = os.pread(self._said, _SHOWN_BYTES * 10, 0)
            raise VersionFailed(
                f"the process that checks models cannot start: {_last_line(said) or 'no reason'}"
            )
        self._is_ready = True

    def run(self, memory: int, seconds: float) -> _Outcome:
        """One check to its end. The outcome has no end when this process died."""
        with contextlib.ExitStack() as stack:
            pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
            for readable, _ in pipes:
                stack.callback(os.close, readable)
            try:
                theirs = [memory, *(writable for _, writable in pipes)]
                socket.send_fds(self._control, [b"check"], theirs)
            except OSError:
                return _Outcome()
            finally:
                for _, writable in pipes:
                    os.close(writable)
            return _collect([readable for readable, _ in pipes], seconds)

    def close(self) -> None:
        self._control.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._said)


def _request_memory(pinned: PinnedVersion, options: Mapping[str, Any], limits: CheckLimits) -> int:
    """A sealed memfd: what is checked cannot change under the check."""
    # The model goes by a name that no file has.
    files = {"": pinned.model, **pinned.external}
    providers = [name for name, _ in options.get("providers", ())]
    request = json.dumps(
        {
            # One thread, so that a check takes one core at most from those who serve.
            "options": {**options, "intra_op_threads": 1, "inter_op_threads": 1},
            "log_id": "check",
            "files": [(name, len(data)) for name, data in files.items()],
            "seconds": limits.seconds,
            "memory_bytes": limits.memory_for(pinned.file_bytes),
            "only_cpu": all(name.startswith("CPU") for name in providers),
        }
    ).encode()
    memory = os.memfd_create("fastserve-check", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for piece in (len(request).to_bytes(8, "little"), request, *files.values()):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(memory, rest) :]
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    except OSError as error:
        os.close(memory)
        raise VersionFailed(f"the check cannot be prepared: {error.strerror}") from error
    return memory


def _collect(pipes: list[int], seconds: float) -> _Outcome:
    """Reads report, print and end until the end is closed, which is when the child is gone."""
    ended = pipes[2]
    got = {pipe: bytearray() for pipe in pipes}
    deadline = time.monotonic() + seconds + _GRACE_SECONDS
    poll = select.poll()
    for pipe in pipes:
        os.set_blocking(pipe, False)
        poll.register(pipe, select.POLLIN)
    is_late = is_over = False
    while not is_over:
        left = deadline - time.monotonic()
        ready = [pipe for pipe, _ in poll.poll(left * 1000)] if left > 0 else []
        is_late = not ready
        for pipe in ready:
            if not _read_some(pipe, got[pipe]):
                poll.unregister(pipe)
                is_over |= pipe == ended
        is_over |= is_late or len(got[pipes[0]]) > _MAX_REPORT_BYTES
    for pipe in pipes[:2]:
        while _read_some(pipe, got[pipe]) and len(got[pipe]) <= _MAX_REPORT_BYTES:
            pass
    report, printed, end = (bytes(got[pipe]) for pipe in pipes)
    if len(report) > _MAX_REPORT_BYTES:
        end = msgspec.json.encode(_End(error=f"it reported more than {_MAX_REPORT_BYTES} bytes"))
    return _Outcome(report, printed, end, is_late)


def _read_some(pipe: int, into: bytearray) -> bool:
    """False at the end, or when there is nothing to read now."""
    try:
        data = os.read(pipe, 1 << 16)
    except BlockingIOError:
        return False
    into += data
    return bool(data)


def _judge(outcome: _Outcome, limits: CheckLimits, file_bytes: int) -> CheckReport:
    too_late = VersionFailed(
        f"the check took longer than {limits.seconds:g} s: raise check_seconds of [load] in "
        "model.toml if the model needs it"
    )
    if outcome.is_late:
        raise too_late
    end = decoder(_End).decode(outcome.end)
    if end.error:
        raise VersionFailed(f"the check failed: {end.error}")
    said = _last_line(outcome.printed)
    if os.WIFSIGNALED(end.status):
        number = os.WTERMSIG(end.status)
        if number in (signal.SIGALRM, signal.SIGXCPU):
            raise too_late
        if OUT_OF_MEMORY.search(outcome.printed.decode(errors="replace")):
            raise _too_large(limits, file_bytes)
        reason = f"the check was killed by signal {number} ({_describe(number)})"
        raise VersionFailed(f"{reason}: {said}" if said else reason)
    if not outcome.report:
        if OUT_OF_MEMORY.search(said):
            raise _too_large(limits, file_bytes)
        code = os.waitstatus_to_exitcode(end.status)
        raise VersionFailed(f"the check ended with status {code}: {said or 'no reason'}")
    return _read_report(outcome.report, limits, file_bytes)


def _read_report(report: bytes, limits: CheckLimits, file_bytes: int) -> CheckReport:
    """Whatever a broken child may have written. Errors: as `Checker.check`."""
    try:
        return decoder(CheckReport).decode(report)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        refusal = decoder(_Refusal).decode(report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VersionFailed(f"the check's report cannot be read: {error}") from error
    if refusal.is_out_of_memory:
        raise _too_large(limits, file_bytes)
    raise from_status(refusal.code, refusal.message)


def _too_large(limits: CheckLimits, file_bytes: int) -> FastserveError:
    return VersionFailed(
        f"the check needed more than {limits.memory_for(file_bytes)} bytes of memory: raise "
        "check_memory_bytes of [load] in model.toml if the model needs it"
    )


def _describe(number: int) -> str:
    text = signal.strsignal(number) or "unknown"
    hint = ": the machine may be out of memory" if number == signal.SIGKILL else ""
    return text.lower() + hint


def _last_line(printed: bytes) -> str:
    """What the library or the interpreter said last, fit for a message."""
    lines = printed.decode(errors="replace").strip().splitlines()
    line = lines[-1] if lines else ""
    return "".join(char if char.isprintable() else "?" for char in line)[:_SHOWN_BYTES]
