"""Shell completion: the scripts, and model names from the server that the line names."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from fastserve._proto import open_inference_grpc_pb2 as pb

MODEL_LINES = [["infer"], ["model", "describe"]]


def complete(*words, shell="bash", environment=None):
    """What the shell is offered for the last of `words`."""
    line = ["fastserve", *words]
    done = subprocess.run(
        [sys.executable, "-c", "from fastserve.cli import main; main()"],
        env=os.environ
        | {
            "_FASTSERVE_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join(line),
            "COMP_CWORD": words[-1] if shell == "fish" else str(len(line) - 1),
        }
        | (environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    lines = [line for line in done.stdout.splitlines() if line]
    return [line.partition(",")[2] for line in lines] if shell == "bash" else lines


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o nosort -F _fastserve_completion fastserve"),
        ("zsh", "compdef _fastserve_completion fastserve"),
        ("fish", "complete --no-files --command fastserve"),
    ],
)
def test_completion_prints_the_script_of_the_shell(fastserve, shell, words):
    outcome = fastserve("completion", shell)
    assert outcome.code == 0, outcome.err
    assert words in outcome.out
    assert "_FASTSERVE_COMPLETE" in outcome.out


def test_bash_takes_the_script(fastserve, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(fastserve("completion", "bash").out)
    subprocess.run(["bash", "-ec", f"source {script}; complete -p fastserve"], check=True)


def test_commands_and_options_are_offered():
    assert {"serve", "model", "config", "completion"} <= set(complete(""))
    assert complete("mod") == ["model"]
    assert "--endpoint" in complete("infer", "--end")


@pytest.mark.parametrize("line", MODEL_LINES, ids=" ".join)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_models_of_the_endpoint_are_offered(demo_server, demo_models, line, shell):
    environment = {"FASTSERVE_ENDPOINT": demo_server.grpc}
    offered = complete(*line, "di", shell=shell, environment=environment)
    expected = [name for name in demo_models.names if name.startswith("di")]
    assert len(expected) > 1
    assert [name for name in expected if any(name in each for each in offered)] == expected


def test_models_of_the_endpoint_on_the_line_are_offered(demo_server, demo_models):
    offered = complete("infer", "--endpoint", demo_server.grpc, "")
    assert offered == demo_models.names


@pytest.fixture
def hostile_server():
    """A server whose models have names that a shell would take for more than names."""
    index = pb.RepositoryIndexResponse()
    for name in ("good", "$(reboot)", "a b", "`ls`", "x\ny", "-x", "é"):
        index.models.add(name=name, version="1", state="READY")
    method = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: index.SerializeToString()
    )
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "inference.GRPCInferenceService", {"RepositoryIndex": method}
                ),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(0).wait()


def test_names_that_would_be_code_in_a_shell_are_not_offered(hostile_server):
    assert complete("infer", "", environment={"FASTSERVE_ENDPOINT": hostile_server}) == ["good"]


def test_silence_is_the_answer_of_a_server_that_is_not_there(free_port):
    started = time.monotonic()
    address = f"127.0.0.1:{free_port()}"
    assert complete("infer", "", environment={"FASTSERVE_ENDPOINT": address}) == []
    assert complete("infer", "", environment={"FASTSERVE_ENDPOINT": "nonsense"}) == []
    # Two processes that import grpc, and at most a second of waiting in each.
    assert time.monotonic() - started < 20
