"""`fastserve model`: what a server holds."""

from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastserve.cli.command import Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import endpoint_options, take_endpoint
from fastserve.cli.model_change import check, label, load, push, reload, unload, wait
from fastserve.cli.model_lineage import show_known
from fastserve.cli.screen import print_json, print_table, printable, shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fastserve.cli.endpoint import Endpoint
    from fastserve.client import ControlClient, TensorMetadata

T = TypeVar("T")


@click.group()
def model() -> None:
    """Ask a server about its models, and change them."""


for _verb in (check, label, load, push, reload, unload, wait):
    model.add_command(_verb)


@model.command("list", cls=Command)
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool, **options: Any) -> None:
    """List every model version with its state, and the reason where it does not answer.

    Of a fastserve also which version serves, labels and memory.
    """
    endpoint = take_endpoint(options)
    models = _ask_control(endpoint, lambda client: client.list_models())
    if models is None:
        _list_index(endpoint, as_json=as_json)
        return
    rows = [row for each in models for row in _version_rows(each)]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("the repository holds no model")
    else:
        print_table(
            ["MODEL", "VERSION", "STATE", "SERVES", "LABELS", "MEMORY MB", "REASON"],
            [
                (
                    row["name"],
                    row["version"],
                    row["state"],
                    _traffic(row),
                    ", ".join(row["labels"]),
                    f"{row['memory_bytes'] / 1e6:.1f}" if row["memory_bytes"] else "",
                    row["reason"],
                )
                for row in rows
            ],
            numeric=["VERSION", "MEMORY MB"],
        )


@model.command(cls=Command)
@click.argument("name", metavar="MODEL", shell_complete=complete_model)
@click.option("--version", default="", help="The version to describe; the newest if left out.")
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def describe(name: str, version: str, as_json: bool, **options: Any) -> None:
    """Show signature, versions, batching and statistics of MODEL."""
    endpoint = take_endpoint(options)
    with endpoint.connect() as client:
        metadata = client.model_metadata(name, version)
        config = client.model_config(name, version)
        statistics = client.model_statistics(name, version)
        states = [entry for entry in client.repository_index() if entry.name == name]
    known = _ask_control(endpoint, lambda client: client.describe_model(name))
    batching = _batching(config)
    if as_json:
        print_json(
            {
                "name": metadata.name,
                "platform": metadata.platform,
                "versions": [
                    {"version": entry.version, "state": entry.state, "reason": entry.reason}
                    for entry in states
                ],
                "inputs": _tensors(metadata.inputs),
                "outputs": _tensors(metadata.outputs),
                "properties": metadata.properties,
                "batching": batching,
                "statistics": statistics,
                "config": config,
                "fastserve": known,
            }
        )
        return
    click.echo(f"{printable(metadata.name)} ({printable(metadata.platform)})\n")
    print_table(
        ["VERSION", "STATE", "REASON"],
        [(entry.version, entry.state, entry.reason) for entry in states],
        numeric=["VERSION"],
    )
    click.echo()
    tensors = [("input", tensor) for tensor in metadata.inputs]
    tensors += [("output", tensor) for tensor in metadata.outputs]
    print_table(
        ["TENSOR", "NAME", "DATATYPE", "SHAPE"],
        [(kind, each.name, each.datatype, shape_text(each.shape)) for kind, each in tensors],
    )
    click.echo(f"\n{printable(_batching_line(batching))}")
    for key, value in metadata.properties.items():
        click.echo(f"{printable(key)}: {printable(value)}")
    if known is not None:
        show_known(known)
    if statistics:
        click.echo()
        print_table(
            ["VERSION", "REQUESTS", "FAILED", "ROWS", "EXECUTIONS", "ROWS/EXECUTION",
             "QUEUE us", "COMPUTE us", "TOTAL us"],
            [_statistics_row(entry) for entry in statistics],
            numeric=["VERSION", "REQUESTS", "FAILED", "ROWS", "EXECUTIONS", "ROWS/EXECUTION",
                     "QUEUE us", "COMPUTE us", "TOTAL us"],
        )  # fmt: skip


def _ask_control(endpoint: "Endpoint", ask: "Callable[[ControlClient], T]") -> "T | None":
    """What fastserve.v1.Control answers; None from a server, or for a token, without it."""
    from fastserve.errors import Forbidden, Unsupported  # noqa: PLC0415 - for --help's sake

    with endpoint.connect_control() as client:
        try:
            return ask(client)
        except (Forbidden, Unsupported):
            return None


def _list_index(endpoint: "Endpoint", *, as_json: bool) -> None:
    """What any server of the protocol says."""
    with endpoint.connect() as client:
        entries = client.repository_index()
    if as_json:
        fields = ("name", "version", "state", "reason")
        print_json([{name: getattr(entry, name) for name in fields} for entry in entries])
    elif not entries:
        click.echo("the repository holds no model")
    else:
        print_table(
            ["MODEL", "VERSION", "STATE", "REASON"],
            [(entry.name, entry.version, entry.state, entry.reason) for entry in entries],
            numeric=["VERSION"],
        )


def _version_rows(model: dict[str, Any]) -> "Iterator[dict[str, Any]]":
    """One for each version, with the names that RepositoryIndex uses and some more."""
    none: dict[str, Any] = {"number": "", "state": "", "reason": "", "memory_bytes": 0}
    none["route_share"] = 0.0
    for version in model["versions"] or [none | {"is_serving": False, "labels": []}]:
        yield {
            "name": model["name"],
            "version": str(version["number"]),
            "state": version["state"],
            "reason": (version["state"] != "READY" and model["problem"]) or version["reason"],
            "is_serving": version["is_serving"],
            "labels": version["labels"],
            "memory_bytes": version["memory_bytes"],
            "route_share": version["route_share"] if model["has_route"] else None,
        }


def _traffic(row: dict[str, Any]) -> str:
    """Of requests that name no version."""
    if row["route_share"]:
        return f"{row['route_share'] * 100:.4g} %"
    return "yes" if row["is_serving"] else ""


def _tensors(tensors: "Iterable[TensorMetadata]") -> list[dict[str, Any]]:
    return [
        {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)}
        for each in tensors
    ]


def _batching(config: dict[str, Any]) -> dict[str, Any]:
    """Whether requests share a run, as the configuration says it; the reason is fastserve's own."""
    settings = config.get("dynamic_batching")
    parameters = config.get("parameters", {})
    reason = parameters.get("batching", {}).get("string_value", "")
    # A queue's policies stand in dynamic_batching as well, also where nothing is batched.
    is_batching = settings is not None and not reason.startswith("off: ")
    preferred = (settings or {}).get("preferred_batch_size", [])
    return {
        "enabled": is_batching,
        "max_rows": max(map(int, preferred), default=config.get("max_batch_size", 0)),
        "max_delay_us": (settings or {}).get("max_queue_delay_microseconds", 0),
        "reason": reason,
    }


def _batching_line(batching: dict[str, Any]) -> str:
    # fastserve's reason begins with the decision itself.
    reason = batching["reason"].removeprefix("on: ").removeprefix("off: ")
    line = "batching: off"
    if batching["enabled"]:
        line = f"batching: on, up to {batching['max_rows']} rows"
        if batching["max_delay_us"]:
            line += f", waits up to {batching['max_delay_us']} us"
    return f"{line}; {reason}" if reason else line


def _statistics_row(entry: dict[str, Any]) -> tuple[Any, ...]:
    stats = entry.get("inference_stats", {})
    executions = entry["execution_count"]
    return (
        entry["version"],
        _count(stats, "success"),
        _count(stats, "fail"),
        entry["inference_count"],
        executions,
        f"{entry['inference_count'] / executions:.2f}" if executions else "-",
        _mean_us(stats, "queue"),
        _mean_us(stats, "compute_infer"),
        _mean_us(stats, "success"),
    )


def _count(stats: dict[str, Any], name: str) -> int:
    return int(stats.get(name, {}).get("count", 0))


def _mean_us(stats: dict[str, Any], name: str) -> str:
    """Mean microseconds of one observation."""
    duration = stats.get(name, {})
    return f"{duration['ns'] / duration['count'] / 1000:.0f}" if duration.get("count") else "-"
