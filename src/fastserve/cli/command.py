"""What every command has: `--debug`, one line for each error, exit codes that scripts know.

0 done, 1 the operation failed, 2 the command line or a setting is wrong, 3 the server cannot be
reached. Modules of commands import click alone; each does its work in functions that import the
rest, so that `--help` is quick and `serve` loads nothing that only the other commands need.
"""

import os
import sys
import traceback
from typing import Any, Final, NoReturn

import click

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130  # as shells say it: 128 + SIGINT


class Command(click.Command):
    """A click command with `--debug`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=_remember_debug,
                help="Show the traceback of an error.",
            )
        )


def run(group: click.Group, arguments: list[str] | None) -> NoReturn:
    """Runs `group` and leaves the process with the exit code; never returns, never tracebacks."""
    # Kept outside of click's context, which is gone when an error arrives here.
    state = {"debug": False}
    try:
        code = group.main(args=arguments, prog_name="fastserve", standalone_mode=False, obj=state)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        code = USAGE
    except click.ClickException as error:
        code = _report(error, state, _click_line(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; the interpreter must not flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        code = _report(error, state, *_explain(error))
    sys.exit(code if isinstance(code, int) else DONE)


def _remember_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().obj["debug"] = True


def _report(error: Exception, state: dict[str, bool], line: str, code: int) -> int:
    if state["debug"]:
        traceback.print_exception(error)
    click.echo(f"fastserve: {line}", err=True)
    return code


def _click_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return error.format_message()
    return f"{error.format_message()} (see: {context.command_path} --help)"


def _explain(error: Exception) -> tuple[str, int]:
    """One line and the exit code."""
    # Not at the top: --help needs neither.
    from fastserve.errors import FastserveError, InvalidConfig  # noqa: PLC0415

    if isinstance(error, InvalidConfig):
        return _one_line(error.message), USAGE
    if isinstance(error, FastserveError):
        code = UNREACHABLE if error.reason == "unreachable" else FAILED
        return _one_line(error.message), code
    if isinstance(error, OSError):
        return _one_line(str(error)), FAILED
    kind = type(error).__name__
    return f"internal error: {_one_line(f'{kind}: {error}')}; --debug shows where", FAILED


def _one_line(text: str) -> str:
    return " ".join(text.split())
