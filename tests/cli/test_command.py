"""What holds for every command: exit codes, one line for an error, what is loaded."""

import os
import subprocess
import sys
import textwrap

import grpc
import pytest

from fastserve import __version__

COMMANDS = [
    ["serve"],
    ["infer"],
    ["model"],
    ["model", "list"],
    ["model", "describe"],
    ["audit"],
    ["audit", "show"],
    ["audit", "verify"],
    ["config"],
    ["config", "show"],
    ["completion"],
    ["plan"],
]


def loaded_after(arguments, modules):
    """Which of `modules` are loaded after the command line has run in a fresh process."""
    code = textwrap.dedent(
        f"""
        import sys
        from fastserve.cli import main
        try:
            main({arguments!r})
        except SystemExit:
            pass
        print("\\n" + " ".join(name for name in {modules!r} if name in sys.modules))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()[-1].split()


def test_version_is_the_packages(fastserve):
    assert fastserve("--version").out == f"fastserve {__version__}\n"


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_is_printed_for_every_command(fastserve, command):
    outcome = fastserve(*command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("Usage: fastserve")


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_loads_nothing_that_is_slow(command):
    slow = ["grpc", "numpy", "rich", "msgspec", "uvloop", "google.protobuf", "onnxruntime"]
    assert loaded_after([*command, "--help"], slow) == []


def test_serve_loads_neither_rich_nor_grpc_nor_numpy(tmp_path):
    # A refused address ends the command after its settings are built.
    arguments = ["serve", str(tmp_path), "--grpc", "0.0.0.0:1"]
    assert loaded_after(arguments, ["rich", "grpc", "numpy"]) == []


def test_unreachable_server_has_its_own_exit_code(fastserve):
    outcome = fastserve("model", "list", "--endpoint", "127.0.0.1:9")
    assert outcome.code == 3
    assert outcome.err.startswith("fastserve: cannot reach 127.0.0.1:9: ")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model", "list", "--endpoint", "nowhere"], "endpoint 'nowhere': expected HOST:PORT"),
        (["infer"], "Missing argument 'MODEL'"),
        (["infr"], "No such command 'infr'"),
        (["model", "list", "--timeout", "0"], "'--timeout'"),
        (["serve", "/absent"], "does not exist"),
        (["serve"], "no repository: name it on the command line"),
        (["serve", ".", "--config", "/absent"], "does not exist"),
        (["serve", ".", "--watch", "--poll", "1"], "lifecycle.watch and lifecycle.poll_seconds"),
        (["serve", ".", "--memory-budget", "2GB"], "--memory-budget: lifecycle.memory_budget"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["serve", ".", "--grpc", "nowhere"], "address 'nowhere': expected HOST:PORT"),
        (["serve", ".", "--grpc", "0.0.0.0:8001"], "say --allow-insecure to serve without"),
        (["serve", ".", "--io-threads", "-1"], "threads.io_threads"),
    ],
)
def test_wrong_usage_has_its_own_exit_code_and_one_line(fastserve, arguments, words):
    outcome = fastserve(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith("fastserve: ")
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


def test_debug_adds_the_traceback(peer, fastserve):
    peer.refuse(grpc.StatusCode.INTERNAL, "boom")
    outcome = fastserve("infer", "linear", "--input", "x=[1,2,3]", "--debug")
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("fastserve: boom\n")


def test_reader_that_goes_away_is_no_error(peer):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m fastserve model list --json | head -c 1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )
    assert done.stdout == "["
    assert done.stderr == ""
