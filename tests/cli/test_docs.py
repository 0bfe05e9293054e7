"""docs/cli.md and the command line name the same options."""

import re
from pathlib import Path

import click
import pytest

from fastserve.cli.root import root

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
EVERYWHERE = {"--help", "--debug", "--json"}


def commands(group, context, *above):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, context, *above, name)
        else:
            yield " ".join([*above, name]), command


COMMANDS = dict(commands(root, click.Context(root)))


def options_of(command):
    return {name for parameter in command.params for name in parameter.opts if name[:2] == "--"}


@pytest.mark.parametrize("name", COMMANDS)
def test_page_names_every_option_of_the_command(name):
    missing = options_of(COMMANDS[name]) - set(re.findall(r"--[a-z-]+", PAGE)) - EVERYWHERE
    assert missing == set()


def test_page_names_no_option_that_is_not_there():
    known = set.union(*map(options_of, COMMANDS.values())) | EVERYWHERE
    assert set(re.findall(r"--[a-z-]+[a-z]", PAGE)) - known == set()


def test_page_shows_only_commands_that_exist():
    shown = re.findall(r"^fastserve ([\w-]+)(?: (\w[\w-]*))?", PAGE, re.MULTILINE)
    assert shown
    for first, second in shown:
        assert first in COMMANDS or f"{first} {second}" in COMMANDS
