"""`fastserve model load|reload|unload|label|wait|push|check`: what changes a server's models."""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastserve.cli.command import FAILED, Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import Endpoint, endpoint_options, load_options, take_endpoint
from fastserve.cli.screen import print_json, print_table, printable, shape_text
from fastserve.errors import DeadlineExceeded, FastserveError, ModelNotFound

if TYPE_CHECKING:
    from fastserve.client import ModelEvent

# Between attempts to reach a server that is just being started.
_REACH_PAUSE_SECONDS: Final = 0.2
_SHORTEST_WAIT_SECONDS: Final = 0.001
_READY_SECONDS: Final = 1.0
# What a version's number may be, here and in the repository.
_NUMBER = click.IntRange(1, (1 << 63) - 1)

_MODEL = click.argument("model", metavar="MODEL", shell_complete=complete_model)
_VERSION = click.option("--version", type=_NUMBER, help="The version.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SIGNATURE = click.option(
    "--allow-signature-change",
    is_flag=True,
    help="Also if its inputs or outputs differ from those of the version that serves.",
)


@click.command(cls=Command)
@_MODEL
@_VERSION
@click.option("--label", default="", help="The version that has this label.")
@click.option("--standby", is_flag=True, help="Answer those who name it; what serves stays.")
@_SIGNATURE
@load_options
@_JSON
def load(  # noqa: PLR0917 - click passes names
    model: str,
    version: int | None,
    label: str,
    standby: bool,
    allow_signature_change: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Load a version of MODEL and make it what serves.

    Without --version: what the model's version policy says, after looking at the repository. A
    version that is loaded already serves at once. If the load fails, what served goes on.
    """
    with take_endpoint(options).connect_control() as client:
        _show_events(
            client.load_model(
                model,
                version=version or 0,
                label=label,
                standby=standby,
                allow_signature_change=allow_signature_change,
            ),
            as_json=as_json,
        )


@click.command(cls=Command)
@_MODEL
@_SIGNATURE
@load_options
@_JSON
def reload(model: str, allow_signature_change: bool, as_json: bool, **options: Any) -> None:
    """Read configuration and files of MODEL again, and load what changed."""
    with take_endpoint(options).connect_control() as client:
        events = client.reload_model(model, allow_signature_change=allow_signature_change)
        _show_events(events, as_json=as_json)


@click.command(cls=Command)
@_MODEL
@_VERSION
@click.option("--force", is_flag=True, help="Also the last version that answers.")
@click.option("--no-wait", is_flag=True, help="Do not wait for requests in flight.")
@load_options
@_JSON
def unload(
    model: str, version: int | None, force: bool, no_wait: bool, as_json: bool, **options: Any
) -> None:
    """Take a version of MODEL out of traffic, or all of them without --version.

    Requests in flight are answered; then the memory goes back to the system.
    """
    with take_endpoint(options).connect_control() as client:
        gone = client.unload_model(model, version=version or 0, force=force, no_wait=no_wait)
    if as_json:
        print_json({"model": model, "versions": gone})
    elif gone:
        click.echo(f"unloaded {printable(model)} {', '.join(map(str, gone))}")
    else:
        click.echo(f"no version of {printable(model)} was loaded")


@click.command(cls=Command)
@_MODEL
@click.argument("label")
@click.argument("version", type=_NUMBER, required=False)
@click.option("--remove", is_flag=True, help="Take the label off.")
@endpoint_options
@_JSON
def label(
    model: str, label: str, version: int | None, remove: bool, as_json: bool, **options: Any
) -> None:
    """Point LABEL at VERSION of MODEL; clients may ask for it by that name."""
    if remove == (version is not None):
        raise click.UsageError("give a VERSION, or --remove")
    with take_endpoint(options).connect_control() as client:
        if version is None:
            before = client.remove_label(model, label)
        else:
            before = client.set_label(model, label, version)
    if as_json:
        print_json({"model": model, "label": label, "version": version, "previous": before or None})
        return
    was = f" (was {before})" if before else ""
    now = "removed" if version is None else str(version)
    click.echo(f"{printable(model)} {printable(label)}: {now}{was}")


@click.command(cls=Command)
@_MODEL
@click.option("--version", type=_NUMBER, help="This one; any if left out.")
@click.option("--state", default="READY", show_default=True, help="The state to wait for.")
@endpoint_options
@_JSON
def wait(model: str, version: int | None, state: str, as_json: bool, **options: Any) -> None:
    """Wait until a version of MODEL is in a state; at most --timeout seconds.

    A server that cannot be reached yet is waited for as well.
    """
    from fastserve.client import ServerUnreachable  # noqa: PLC0415 - grpc loads slowly

    endpoint = take_endpoint(options)
    deadline = time.monotonic() + endpoint.timeout
    was_ready = False
    while True:
        left = max(deadline - time.monotonic(), _SHORTEST_WAIT_SECONDS)
        try:
            with endpoint.connect_control() as client:
                events = client.wait_model(model, version=version or 0, state=state, timeout=left)
                _show_events(events, as_json=as_json)
        except (ServerUnreachable, ModelNotFound):
            # A server that is not ready may not have looked into its repository yet.
            if was_ready or left <= _REACH_PAUSE_SECONDS:
                raise
            was_ready = _is_ready(endpoint)
            time.sleep(_REACH_PAUSE_SECONDS)
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"{model} is not {state} after {endpoint.timeout:g} s{_states(endpoint, model)}"
            ) from error
        else:
            return


@click.command(cls=Command)
@_MODEL
@click.argument(
    "paths",
    metavar="FILE|FOLDER...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--version", type=_NUMBER, help="Its number; the next one if left out.")
@click.option("--lineage", multiple=True, metavar="KEY=VALUE", help="Where it comes from.")
@click.option("--load", "is_loaded", is_flag=True, help="And make it what serves.")
@load_options
@_JSON
def push(  # noqa: PLR0917 - click passes names
    model: str,
    paths: tuple[Path, ...],
    version: int | None,
    lineage: tuple[str, ...],
    is_loaded: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a version of MODEL into the server's repository, complete or not at all.

    A FOLDER stands for the files in it; a single FILE becomes model.onnx. The server writes a
    manifest with the files' hashes beside them.
    """
    files = _files(paths)
    declared = dict(_pair(entry) for entry in lineage)
    with take_endpoint(options).connect_control() as client:
        pushed = client.push_model(
            model, files, version=version or 0, lineage=declared, load=is_loaded
        )
    if as_json:
        print_json(pushed._asdict())
    else:
        click.echo(
            f"{printable(model)} {pushed.version}: {pushed.size_bytes} bytes, "
            f"digest {pushed.digest[:16]}"
        )


@click.command(cls=Command)
@_MODEL
@click.option("--version", type=_NUMBER, help="The newest if left out.")
@load_options
@_JSON
@click.pass_context
def check(
    context: click.Context, /, model: str, version: int | None, as_json: bool, **options: Any
) -> None:
    """Try a version of MODEL in a child process of the server, loading nothing.

    Shows what would keep it from being loaded, and what of its configuration is ignored. Exit code
    1 when it would not load.
    """
    with take_endpoint(options).connect_control() as client:
        found = client.check_model(model, version=version or 0)
    if as_json:
        print_json(found)
    else:
        _show_check(model, found)
    if found.get("problem"):
        context.exit(FAILED)


def _show_events(events: "Iterable[ModelEvent]", *, as_json: bool) -> None:
    """One line for each change, as it comes."""
    for event in events:
        if as_json:
            click.echo(json.dumps(event._asdict(), ensure_ascii=False))
            sys.stdout.flush()
            continue
        serving = "  serves" if event.is_serving and event.state == "READY" else ""
        reason = f"  {printable(event.reason)}" if event.reason else ""
        click.echo(
            f"{event.elapsed_seconds:8.3f} s  {printable(event.model)} {event.version}  "
            f"{printable(event.state)}{serving}{reason}"
        )


def _is_ready(endpoint: Endpoint) -> bool:
    try:
        with endpoint.connect() as client:
            return client.ready(timeout=_READY_SECONDS)
    except FastserveError:
        return False


def _states(endpoint: Endpoint, model: str) -> str:
    """What keeps the versions of a model that was waited for; nothing when it cannot be told."""
    try:
        with endpoint.connect_control() as client:
            versions = client.describe_model(model)["versions"]
    except FastserveError:
        return ""
    return "".join(
        f"; version {each['number']} is {each['state']}"
        + (f": {each['reason']}" if each["reason"] else "")
        for each in versions
    )


def _show_check(model: str, found: dict[str, Any]) -> None:
    problem = found.get("problem", "")
    verdict = f"would not load: {problem}" if problem else "would load"
    click.echo(f"{printable(model)} {found['version']}: {printable(verdict)}")
    for note in found.get("notes", []):
        click.echo(f"  {printable(note)}")
    tensors = [("input", each) for each in found.get("inputs", [])]
    tensors += [("output", each) for each in found.get("outputs", [])]
    if tensors:
        click.echo()
        print_table(
            ["TENSOR", "NAME", "DATATYPE", "SHAPE"],
            [
                (kind, each["name"], each["datatype"], shape_text(each["shape"]))
                for kind, each in tensors
            ],
        )
    if found.get("memory_bytes"):
        click.echo(f"\nmemory: {int(found['memory_bytes']) / 1e6:.1f} MB")


def _files(paths: Iterable[Path]) -> list[tuple[str, Path]]:
    """(name in the version's folder, file). Errors: UsageError."""
    found: list[tuple[str, Path]] = []
    given = list(paths)
    for path in given:
        if path.is_dir():
            found += [
                (str(file.relative_to(path)), file)
                for file in sorted(path.rglob("*"))
                if file.is_file()
                and not any(p.startswith(".") for p in file.parts)
                and file.name != "MANIFEST.json"
            ]
        else:
            found.append(("model.onnx" if len(given) == 1 else path.name, path))
    if not found:
        raise click.UsageError("there is no file to push")
    return found


def _pair(entry: str) -> tuple[str, str]:
    key, equals, value = entry.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--lineage {entry!r}: expected KEY=VALUE")
    return key, value
