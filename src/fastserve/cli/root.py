"""The group of all commands; the module of each is imported when it is named."""

import importlib
from typing import Final, NoReturn

import click

from fastserve import __version__
from fastserve.cli.command import run

_COMMANDS: Final = {
    "serve": "Serve the models of a repository.",
    "infer": "Send one inference and print the answer.",
    "bench": "Put load on a server, and measure it.",
    "model": "Ask a server about its models, and change them.",
    "route": "Show and change which version answers, and explain it.",
    "feedback": "Send what turned out to be true, and show how good answers are.",
    "rollout": "Give a new version its traffic step by step, judged.",
    "drift": "Make reference profiles, and show how far live rows are from them.",
    "shadow": "Run a candidate on a share of the traffic, and compare.",
    "audit": "Show or verify the record of every change.",
    "capture": "Export captured requests, or show what there is.",
    "observe": "Write alert rules and a dashboard for the metrics page.",
    "config": "Show the settings of a server and where they came from.",
    "plan": "Show threads, batching and memory for a repository.",
    "completion": "Print the script that completes commands in a shell.",
}


class _LazyGroup(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(f"fastserve.cli.{name}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - for the type alone
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="fastserve %(version)s")
def root() -> None:
    """Serve ONNX models over gRPC, and talk to servers of the Open Inference Protocol.

    Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 server cannot be reached.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """The entry point of the command line."""
    run(root, arguments)
