"""`fastserve completion`: words that the shell offers, models of the server among them."""

import re
from typing import TYPE_CHECKING, Any, Final

import click

from fastserve.cli.command import Command
from fastserve.cli.endpoint import Endpoint

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Somebody waits at a prompt.
_MAX_SECONDS: Final = 1.0
# As a repository's folders may be named: whatever a server answers ends in a shell.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,254}")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    """Print the script that makes SHELL complete fastserve's commands.

    For bash: eval "$(fastserve completion bash)" in ~/.bashrc; for zsh the same in ~/.zshrc; for
    fish: fastserve completion fish > ~/.config/fish/completions/fastserve.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above is click's own list
    click.echo(kind(context.find_root().command, {}, "fastserve", "_FASTSERVE_COMPLETE").source())


def complete_model(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Models of the endpoint that the line names; none when it does not answer within a second."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    given: dict[str, Any] = {name: context.params.get(name) for name in Endpoint._fields}
    try:
        with Endpoint(**given)._replace(timeout=_MAX_SECONDS).connect() as client:
            names = {entry.name for entry in client.repository_index()}
    except Exception:  # noqa: BLE001 - nobody reads errors while typing
        return []
    return [
        CompletionItem(name)
        for name in sorted(names)
        if name.startswith(incomplete) and _NAME.fullmatch(name)
    ]
