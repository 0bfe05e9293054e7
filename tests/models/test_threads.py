"""Threads from the CPUs that a process may really use."""

import os

import pytest

from fastserve.models.threads import CpuBudget, plan_threads, read_cpu_budget


@pytest.mark.parametrize(
    ("affinity", "quota", "cpus"),
    [(8, 0, 8), (8, 2.0, 2), (8, 0.5, 1), (8, 2.4, 2), (8, 2.6, 3), (2, 64, 2), (1, 0, 1)],
)
def test_budget_is_the_smaller_of_affinity_and_quota(affinity, quota, cpus):
    assert CpuBudget(affinity, quota).cpus == cpus


@pytest.mark.parametrize(
    ("cpus", "io", "executors"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (16, 4, 16), (128, 8, 128)]
)
def test_plan_gives_an_executor_a_cpu_and_an_io_thread_four(cpus, io, executors):
    plan = plan_threads(CpuBudget(cpus, 0))
    assert (plan.io_threads, plan.executors, plan.intra_op_threads) == (io, executors, 1)


def test_plan_takes_what_is_asked_for():
    plan = plan_threads(CpuBudget(8, 2.0), io_threads=3, executors=5)
    assert (plan.io_threads, plan.executors) == (3, 5)
    assert plan.reason == "8 CPUs by affinity, a quota of 2"


def cgroup(tmp_path, line, **files):
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    mount.mkdir()
    (proc / "cgroup").write_text(line)
    for place, content in files.items():
        path = mount / place.replace("__", "/").replace("cpu_max", "cpu.max").replace(
            "cfs", "cpu.cfs"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return read_cpu_budget(proc, mount)


def test_budget_takes_the_tightest_quota_of_version_2(tmp_path):
    budget = cgroup(
        tmp_path,
        "0::/pod/box\n",
        pod__box__cpu_max="max 100000\n",
        pod__cpu_max="150000 100000\n",
    )
    assert budget.quota_cpus == 1.5
    assert budget.affinity_cpus == len(os.sched_getaffinity(0))


def test_budget_falls_back_to_the_mounted_root_in_a_container(tmp_path):
    """The path is the host's, and only the container's own folder is mounted."""
    assert cgroup(tmp_path, "0::/kubepods/pod1\n", cpu_max="50000 100000\n").quota_cpus == 0.5


def test_budget_reads_version_1(tmp_path):
    budget = cgroup(
        tmp_path,
        "4:cpu,cpuacct:/box\n1:memory:/box\n",
        cpu__box__cfs_quota_us="300000\n",
        cpu__box__cfs_period_us="100000\n",
    )
    assert budget.quota_cpus == 3.0


@pytest.mark.parametrize("content", ["max 100000\n", "-1 100000", "", "nonsense"])
def test_budget_has_no_quota_where_none_is_set(tmp_path, content):
    assert cgroup(tmp_path, "0::/\n", cpu_max=content).quota_cpus == 0
