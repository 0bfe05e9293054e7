"""Drift as pictures, by matplotlib: reference and live rows over each other."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastserve.errors import Unsupported


def require_matplotlib() -> None:
    """Errors: Unsupported, with what to install."""
    if importlib.util.find_spec("matplotlib") is None:
        raise Unsupported("plots need matplotlib: pip install 'fastserve[plot]'")


def draw(version: dict[str, Any], folder: Path, form: str) -> Iterator[Path]:
    """Writes a picture for each feature that has values; the files, as they are written."""
    for feature in version["features"]:
        if any((feature.get(side) or {}).get("shares") for side in ("reference", "live")):
            name = re.sub(r"[^A-Za-z0-9_.-]+", "_", feature["name"]).strip("_.")
            path = folder / f"{version['model']}-{version['version']}-{name}.{form}"
            _draw_feature(version, feature, path)
            yield path


def _draw_feature(version: dict[str, Any], feature: dict[str, Any], path: Path) -> None:
    # The object interface: no window, no global state.
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and slow

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for side, color in (("reference", "tab:gray"), ("live", "tab:red")):
        shape = feature.get(side) or {}
        if shape.get("shares"):
            label = f"{side}, {shape['count']} values"
            _draw_side(axes, feature, shape["shares"], label, color)
    unit = f" [{feature['unit']}]" if feature["unit"] else ""
    axes.set_xlabel(f"{feature['label'] or feature['name']}{unit}")
    axes.set_ylabel("share of rows")
    scores = ", ".join(f"{name} {score:.3f}" for name, score in sorted(feature["scores"].items()))
    alarm = " - ALARM" if feature["has_alarm"] else ""
    axes.set_title(
        f"{version['model']}/{version['version']}: {feature['name']}{alarm}\n{scores}", fontsize=10
    )
    axes.legend()
    figure.savefig(path)


def _draw_side(
    axes: Any, feature: dict[str, Any], shares: list[float], label: str, color: str
) -> None:
    if feature["categories"]:
        is_live = label.startswith("live")
        places = [at + (0.2 if is_live else -0.2) for at in range(len(shares))]
        axes.bar(places, shares, width=0.4, label=label, color=color, alpha=0.7)
        axes.set_xticks(range(len(shares)), feature["categories"], rotation=45, ha="right")
        return
    axes.stairs(shares, feature["edges"], label=label, color=color, fill=True, alpha=0.45)
