"""The part of `model describe` that only a fastserve knows: policy, labels, lineage, notes."""

from typing import Any

import click

from fastserve.cli.screen import printable


def show_known(model: dict[str, Any]) -> None:
    """Prints what fastserve.v1.Control said of a model."""
    click.echo(f"policy: {printable(model['policy'])}")
    labels = ", ".join(f"{label} = {number}" for label, number in sorted(model["labels"].items()))
    if labels:
        click.echo(f"labels: {printable(labels)}")
    for line in model["ignored"]:
        click.echo(f"ignored: {printable(line)}")
    for version in model["versions"]:
        if version["state"] == "READY":
            _show_version(version)


def _show_version(version: dict[str, Any]) -> None:
    serves = ", serves" if version["is_serving"] else ""
    if version["route_share"]:
        serves += f" {version['route_share'] * 100:.4g} % by the model's route"
    click.echo(f"\nversion {version['number']}{serves}")
    lineage = version.get("lineage", {})
    facts = {
        "digest": lineage.get("digest", ""),
        "model file": f"sha256 {lineage.get('model_sha256', '')}",
        "files": f"{lineage.get('file_bytes', 0)} bytes",
        "memory": f"{version['memory_bytes'] / 1e6:.1f} MB",
        "loaded in": f"{version['load_seconds']:.2f} s",
        "producer": lineage.get("producer", ""),
        "description": lineage.get("description", ""),
        "operator sets": ", ".join(
            f"{name or 'ai.onnx'} {number}"
            for name, number in sorted(lineage.get("opsets", {}).items())
        ),
        **lineage.get("metadata", {}),
        **lineage.get("declared", {}),
    }
    for key, value in facts.items():
        if value:
            click.echo(f"  {printable(key)}: {printable(value)}")
    if version["reason"]:
        click.echo(f"  note: {printable(version['reason'])}")
    for note in version["notes"]:
        click.echo(f"  note: {printable(note)}")
