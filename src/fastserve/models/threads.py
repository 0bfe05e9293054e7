"""How many threads: from the CPUs this process may really use, not from those the machine has.

The count is the smaller of the affinity mask and the tightest quota on the way from the process's
cgroup to the root (version 2: cpu.max; version 1: cpu.cfs_quota_us over cpu.cfs_period_us).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec


class CpuBudget(msgspec.Struct, frozen=True):
    """CPUs this process may use. `quota_cpus` is 0 when no cgroup limits it."""

    affinity_cpus: int
    quota_cpus: float

    @property
    def cpus(self) -> int:
        """Whole CPUs to plan for: part of one counts as one, more are rounded to the nearest."""
        if self.quota_cpus <= 0:
            return self.affinity_cpus
        return max(1, min(self.affinity_cpus, round(self.quota_cpus)))


class ThreadPlan(msgspec.Struct, frozen=True):
    """Threads of the data plane, and why. `intra_op_threads` is per run of a model."""

    cpus: int
    io_threads: int
    executors: int
    intra_op_threads: int
    inline_budget_us: int
    reason: str


# What a sweep's batches may take on the io thread. With a CPU to spare, an executor beside it does
# better from about half a millisecond on; without one it only adds context switches, and the bound
# is there for the calls that wait meanwhile. Chosen with `bench/run.py --only trees small`.
INLINE_BUDGET_US: Final = 500
INLINE_BUDGET_ALONE_US: Final = 5_000


def plan_threads(
    budget: CpuBudget,
    *,
    io_threads: int = 0,
    executors: int = 0,
    inline_budget_us: int | None = None,
) -> ThreadPlan:
    """One executor a CPU, since a run uses one thread; one io thread for four CPUs, at most eight.

    An io thread of a tiny model carries about as much as four executors of a heavy one, and it
    sleeps when there is little to carry, so the two may share CPUs. Zero (None for the inline
    budget) means planned, else as given.
    """
    cpus = budget.cpus
    source = f"{budget.affinity_cpus} CPUs by affinity"
    if budget.quota_cpus > 0:
        source += f", a quota of {budget.quota_cpus:g}"
    io_threads = io_threads or min(8, max(1, cpus // 4))
    if inline_budget_us is None:
        inline_budget_us = INLINE_BUDGET_US if cpus > io_threads else INLINE_BUDGET_ALONE_US
    return ThreadPlan(
        cpus=cpus,
        io_threads=io_threads,
        executors=executors or cpus,
        intra_op_threads=1,
        inline_budget_us=inline_budget_us,
        reason=source,
    )


def read_cpu_budget(
    proc: Path = Path("/proc/self"), mount: Path = Path("/sys/fs/cgroup")
) -> CpuBudget:
    """What the kernel says about this process now."""
    quotas = [quota for quota in _quotas(proc, mount) if quota > 0]
    return CpuBudget(
        affinity_cpus=len(os.sched_getaffinity(0)), quota_cpus=min(quotas, default=0.0)
    )


def _quotas(proc: Path, mount: Path) -> Iterator[float]:
    for line in _read(proc / "cgroup").splitlines():
        # "0::/path" is version 2; "4:cpu,cpuacct:/path" is version 1.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base, read = mount, _quota_v2
        elif "cpu" in controllers.split(","):
            base, read = mount / "cpu", _quota_v1
            if not base.is_dir():
                base = mount / controllers
        else:
            continue
        folder = base / path.lstrip("/")
        # In a container the path may be the host's, of which only the root is mounted.
        while not folder.is_dir() and folder != base:
            folder = folder.parent
        while True:
            yield read(folder)
            if folder == base or base not in folder.parents:
                break
            folder = folder.parent


def _quota_v2(folder: Path) -> float:
    return _ratio(_read(folder / "cpu.max").split())


def _quota_v1(folder: Path) -> float:
    return _ratio([_read(folder / f"cpu.cfs_{part}_us").strip() for part in ("quota", "period")])


def _ratio(words: list[str]) -> float:
    """Quota over period, 0 where there is none ("max", -1, no file)."""
    try:
        quota, period = (int(word) for word in words)
    except ValueError:
        return 0.0
    return quota / period if quota > 0 and period > 0 else 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
