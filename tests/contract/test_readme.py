"""The commands that the README shows exist, with the options that it gives them."""

import re
import shlex
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def shown_commands():
    """Lines that start with `$ ` inside fenced blocks, continuation lines joined."""
    if not README.exists():
        return []
    blocks = re.findall(r"^```\w*\n(.*?)^```", README.read_text(), flags=re.DOTALL | re.MULTILINE)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [line[2:].strip() for line in text.splitlines() if line.startswith("$ ")]


def of_program(program):
    """Every use of a program in the shown commands, also behind a pipe or an assignment."""
    parts = (part for line in shown_commands() for part in re.split(r"\||&&|;", line))
    words = ([w for w in shlex.split(part, comments=True) if "=" not in w[:1]] for part in parts)
    return [tuple(w) for w in words if w and w[0] == program]


def make_targets():
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("words", of_program("make"), ids=" ".join)
def test_readme_make_target_exists(words):
    targets = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
    assert targets <= make_targets()


@pytest.mark.parametrize("words", of_program("fastserve"), ids=" ".join)
def test_readme_fastserve_command_exists_with_its_options(words):
    from fastserve.cli.root import root

    command = root
    context = click.Context(command)
    rest = list(words[1:])
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{command.name} has no command {name}"
        command, context = found, click.Context(found, parent=context)
    known = {
        option
        for parameter in [*command.params, command.get_help_option(context)]
        if isinstance(parameter, click.Option)
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    given = {word.split("=")[0] for word in rest if word.startswith("--") and word != "--"}
    assert given <= known


def test_readme_shows_make_demo_and_make_test():
    shown = {word for words in of_program("make") for word in words[1:]}
    assert {"demo", "test"} <= shown
