"""A model is tried in another process: it may crash, hang or eat memory there, and nothing else."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from fastserve.errors import FastserveError, InvalidTensor, ServerDraining, VersionFailed
from fastserve.models.checker import Checker, CheckLimits
from fastserve.models.pinned import pin_memory

OPTIONS = {"allow_spinning": False, "optimization_level": 99}
WAIT_SECONDS = 100
# For a check that a test ends itself: children are nice, and a busy machine starves them.
PATIENT = CheckLimits(seconds=600)


@pytest.fixture(scope="module")
def checker(library_path):
    with Checker(library_path) as made:
        yield made


def pinned(model, **others):
    return pin_memory({"model.onnx": model, **others})


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running_child(pid):
    """The pid of a check's process that has set its limits, which it does before the model runs."""
    for child in children(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(child).rlimit(psutil.RLIMIT_NOFILE)[1] == 64:
                return child
    return None


@pytest.fixture
def child_of(until):
    return lambda pid: until(lambda: running_child(pid))


@pytest.fixture
def hanging(child_of, endless_model):
    """A function checker -> (the future of a check that never ends, the pid of its child)."""
    started = []
    with ThreadPoolExecutor(4) as pool:

        def start(checker):
            check = pool.submit(checker.check, pinned(endless_model), OPTIONS, PATIENT)
            child = child_of(checker.pid)
            started.append(os.pidfd_open(child))
            return check, child

        yield start
        # A test that failed must not wait for what never ends.
        for child in started:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child, signal.SIGKILL)
            os.close(child)


def open_files(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def gone(pid_handle):
    """Waits until the process of a pidfd has ended."""
    poll = select.poll()
    poll.register(pid_handle, select.POLLIN)
    ended = bool(poll.poll(WAIT_SECONDS * 1000))
    os.close(pid_handle)
    return ended


def test_check_reports_what_the_model_is(checker, mlp):
    report = checker.check(pinned(mlp), OPTIONS)
    assert [(spec.name, spec.datatype, spec.shape) for spec in report.inputs] == [
        ("x", "FP32", (-1, 4))
    ]
    assert [spec.name for spec in report.outputs] == ["probability", "label"]
    assert report.metadata.custom == {"author": "nobody", "trained": "never"}
    assert report.are_rows_independent
    assert report.rows_verdict.startswith("rows are independent")
    assert report.run_problem == ""
    assert 0 < report.seconds < WAIT_SECONDS


def test_check_counts_the_memory_of_the_session_alone(checker, mlp, large_model):
    # What the first session of a process sets up, 8 MB, is not the model's.
    assert checker.check(pinned(mlp), OPTIONS).memory_bytes < 4 << 20
    assert 8 << 20 < checker.check(pinned(large_model), OPTIONS).memory_bytes < 32 << 20


def test_check_takes_external_data(checker, external_model):
    report = checker.check(pin_memory(external_model), OPTIONS)
    assert [spec.name for spec in report.inputs] == ["x"]


def test_check_raises_what_the_library_says(checker):
    with pytest.raises(InvalidTensor, match="ONNX Runtime cannot load the model"):
        checker.check(pinned(b"\x08\x08"), OPTIONS)


def test_check_raises_what_the_options_deserve(checker, mlp):
    options = OPTIONS | {"providers": [("NoSuchProvider", {})]}
    with pytest.raises(VersionFailed, match="NoSuchProvider"):
        checker.check(pinned(mlp), options)


def test_check_says_when_a_model_wants_too_much_memory(checker, greedy_model):
    limits = CheckLimits(memory_bytes=1 << 30)
    with pytest.raises(VersionFailed, match="needed more than 1073741824 bytes of memory"):
        checker.check(pinned(greedy_model), OPTIONS, limits)


def test_check_chooses_a_memory_limit_from_the_files():
    assert CheckLimits().memory_for(100) == (1 << 30) + 800
    assert CheckLimits(memory_bytes=5).memory_for(100) == 5


def test_check_says_when_a_model_takes_too_long(checker, endless_model):
    with pytest.raises(VersionFailed, match=r"the check took longer than 0\.5 s"):
        checker.check(pinned(endless_model), OPTIONS, CheckLimits(seconds=0.5))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGSEGV, r"killed by signal 11 \(segmentation fault\)"),
        (signal.SIGABRT, r"killed by signal 6 \(aborted\)"),
        (signal.SIGKILL, r"killed by signal 9 \(killed: the machine may be out of memory\)"),
    ],
)
def test_check_says_how_it_was_killed(checker, hanging, number, expected):
    server = checker.pid
    check, child = hanging(checker)
    os.kill(child, number)
    with pytest.raises(VersionFailed, match=expected):
        check.result(WAIT_SECONDS)
    assert checker.pid == server


def test_check_works_for_others_while_one_hangs(checker, hanging, mlp):
    check, child = hanging(checker)
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda _: checker.check(pinned(mlp), OPTIONS), range(8)))
    assert all(report.are_rows_independent for report in reports)
    assert not check.done()
    os.kill(child, signal.SIGKILL)
    assert isinstance(check.exception(WAIT_SECONDS), VersionFailed)


def test_check_goes_on_after_its_process_died(library_path, mlp):
    with Checker(library_path) as checker:
        checker.check(pinned(mlp), OPTIONS)
        first = checker.pid
        os.kill(first, signal.SIGKILL)
        assert checker.check(pinned(mlp), OPTIONS).are_rows_independent
        assert checker.pid != first


def test_check_gives_up_when_its_process_dies_twice(library_path, until, child_of, hanging, mlp):
    with Checker(library_path) as checker:
        checker.check(pinned(mlp), OPTIONS)
        check, child = hanging(checker)
        first = checker.pid
        handles = [os.pidfd_open(child)]
        os.kill(first, signal.SIGKILL)
        second = until(lambda: checker.pid if checker.pid != first else None)
        handles.append(os.pidfd_open(child_of(second)))
        os.kill(second, signal.SIGKILL)
        with pytest.raises(VersionFailed, match="killed twice while it checked this one"):
            check.result(WAIT_SECONDS)
        # Its children die with it.
        assert all(gone(handle) for handle in handles)
        checker.check(pinned(mlp), OPTIONS)


def test_check_ends_with_the_checker(library_path, hanging, mlp):
    with Checker(library_path) as checker:
        checker.check(pinned(mlp), OPTIONS)
        check, child = hanging(checker)
        handle = os.pidfd_open(child)
        checker.close()
        with pytest.raises(ServerDraining, match="the server is stopping"):
            check.result(WAIT_SECONDS)
        assert gone(handle)
        with pytest.raises(ServerDraining):
            checker.check(pinned(mlp), OPTIONS)


def test_checker_says_why_it_cannot_start(tmp_path, mlp):
    for arguments, expected in [
        ({"library_path": tmp_path / "no.so"}, "cannot start: .*no.so"),
        ({"library_path": tmp_path / "no.so", "python": "/bin/false"}, "cannot start: no reason"),
    ]:
        with Checker(**arguments) as checker, pytest.raises(VersionFailed, match=expected):
            checker.check(pinned(mlp), OPTIONS)
    with pytest.raises(VersionFailed, match=r"cannot start: .*No such file"):
        Checker(tmp_path / "no.so", python=str(tmp_path / "python"))


def test_checker_ignores_signals_that_are_meant_for_the_server(library_path, mlp):
    with Checker(library_path) as checker:
        checker.check(pinned(mlp), OPTIONS)
        first = checker.pid
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(first, number)
        assert checker.check(pinned(mlp), OPTIONS).are_rows_independent
        assert checker.pid == first
        assert os.getpgid(first) == first
        assert os.getsid(first) == os.getsid(0)


def test_checker_leaks_no_descriptor_and_no_thread(checker, mlp, endless_model):
    checker.check(pinned(mlp), OPTIONS)
    before = open_files("self"), threading.active_count()
    for _ in range(20):
        checker.check(pinned(mlp), OPTIONS)
    for limits in (CheckLimits(seconds=0.1), CheckLimits(memory_bytes=1 << 20)):
        with pytest.raises(VersionFailed):
            checker.check(pinned(endless_model), OPTIONS, limits)
    assert (open_files("self"), threading.active_count()) == before
    # Nothing of the server is open over there: the three standard ones and the socket.
    assert open_files(checker.pid) == 4
    assert psutil.Process(checker.pid).num_threads() == 1
    assert children(checker.pid) == []


def test_check_has_only_its_own_files_open_and_its_limits_set(
    checker, until, hanging, endless_model
):
    child = psutil.Process(hanging(checker)[1])
    until(lambda: child.nice() == min(19, os.nice(0) + 10))
    opened = []
    for path in Path(f"/proc/{child.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            opened.append(str(path.readlink()))
    # Nothing, what it prints, its report; an engine's own event, and what it asks the kernel.
    assert [
        name
        for name in opened
        if not name.startswith(("/dev/null", "pipe:", "anon_inode:[eventfd]", "/proc/"))
    ] == []
    assert sum(name.startswith("pipe:") for name in opened) == 2
    assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_NOFILE) == (64, 64)
    assert child.rlimit(psutil.RLIMIT_AS)[1] == CheckLimits().memory_for(len(endless_model))


SERVER = """
import sys, threading
from pathlib import Path
from fastserve.models.checker import Checker
from fastserve.models.pinned import pin_memory
checker = Checker(Path(sys.argv[1]))
model = pin_memory({"model.onnx": Path(sys.argv[2]).read_bytes()})
threading.Thread(target=checker.check, args=(model, {})).start()
print(checker.pid, flush=True)
"""


def test_checker_dies_with_the_server_that_was_killed(
    library_path, child_of, endless_model, tmp_path
):
    model = tmp_path / "endless.onnx"
    model.write_bytes(endless_model)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(library_path), str(model)],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        pid = int(server.stdout.readline())
        handles = [os.pidfd_open(pid), os.pidfd_open(child_of(pid))]
        server.kill()
        assert [gone(handle) for handle in handles] == [True, True]


def damaged(model, source):
    """A copy with up to four bits flipped, or cut short."""
    if source.random() < 0.2:
        return model[: source.randrange(len(model))]
    copy = bytearray(model)
    for _ in range(source.randint(1, 4)):
        copy[source.randrange(len(copy))] ^= 1 << source.randrange(8)
    return bytes(copy)


def test_check_survives_damaged_copies_of_a_real_model(checker, bench_repository, source, soak):
    """Each copy is accepted, or refused with one line; the process that forks stays the same."""
    models = [
        (bench_repository / name / "1" / "model.onnx").read_bytes() for name in ("mlp", "gbt")
    ]
    copies = [damaged(source.choice(models), source) for _ in range(10_000 if soak else 300)]
    checker.check(pinned(models[-1]), OPTIONS)
    before = checker.pid

    def outcome(copy):
        try:
            checker.check(pinned(copy), OPTIONS, CheckLimits(seconds=30))
        except FastserveError as error:
            return error.message
        return "passed"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(outcome, copies))
    assert checker.pid == before
    assert [text for text in outcomes if not text or "\n" in text] == []
    assert 0 < outcomes.count("passed") < len(copies)
