"""The server asks for large pages, once, and leaves a user's own word on it alone."""

import os
from pathlib import Path

import pytest

from fastserve.huge_pages import _is_worth_it, asking, begin_again, not_asking

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def tunables_of(pid):
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return [entry.partition("=")[2] for entry in entries if entry.startswith("GLIBC_TUNABLES=")]


def test_server_asks_for_large_pages_where_the_kernel_gives_them_on_request(start_server, tmp_path):
    if not _is_worth_it(SWITCH, os.confstr("CS_GNU_LIBC_VERSION")):
        pytest.skip("this machine gives no large pages on request")
    (tmp_path / "repository").mkdir()
    server = start_server(tmp_path / "repository")
    assert tunables_of(server.pid) == ["glibc.malloc.hugetlb=1"]


def test_server_leaves_a_tunable_that_its_user_set(start_server, tmp_path):
    (tmp_path / "repository").mkdir()
    value = "glibc.malloc.hugetlb=0"
    server = start_server(tmp_path / "repository", env={"GLIBC_TUNABLES": value})
    assert tunables_of(server.pid) == [value]


def test_environment_keeps_other_tunables():
    given = {"A": "b", "GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}
    made = asking(given)
    assert made == {
        "A": "b",
        "GLIBC_TUNABLES": "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1",
    }
    assert not_asking(made) == given
    assert not_asking(asking({"A": "b"})) == {"A": "b"}
    assert asking(made) is None


def test_process_does_not_begin_again_for_other_commands():
    for arguments in ([], ["plan"], ["--help"], ["model", "serve"]):
        begin_again(arguments)


@pytest.mark.parametrize(
    ("switch", "libc", "expected"),
    [
        ("always [madvise] never", "glibc 2.36", True),
        ("always [madvise] never", "glibc 3.0", True),
        ("always [madvise] never", "glibc 2.34", False),
        ("always [madvise] never", "", False),
        ("[always] madvise never", "glibc 2.36", False),
        ("always madvise [never]", "glibc 2.36", False),
        (None, "glibc 2.36", False),
    ],
)
def test_large_pages_are_asked_for_only_where_it_helps(tmp_path, switch, libc, expected):
    path = tmp_path / "enabled"
    if switch is not None:
        path.write_text(switch)
    assert _is_worth_it(path, libc) is expected
