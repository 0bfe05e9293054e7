"""The comparisons as SVG files, one per model. Needs the extra `plot`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from peers.comparison import TAILS

if TYPE_CHECKING:
    from pathlib import Path

    from peers.comparison import Comparison, Paced

OURS = "fastserve"


def draw(comparisons: list[Comparison], folder: Path) -> list[Path]:
    """Writes FOLDER/MODEL.svg for every model with figures; none without matplotlib."""
    try:
        import matplotlib as mpl  # noqa: PLC0415  from an extra

        mpl.use("svg")
        from matplotlib import pyplot as plt  # noqa: PLC0415
    except ImportError:
        return []
    measured = [one for one in comparisons if not one.reason]
    paths = []
    for model in dict.fromkeys(one.model for one in measured):
        found = [one for one in measured if one.model == model]
        figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
        figure.suptitle(f"{model}: server on one core, client on the other")
        _bars(axes[0][0], "requests/s, closed loop", found, "rps")
        _bars(axes[0][1], "MB in RAM under load, all processes", found, "resident_mb")
        _bars(axes[0][2], "s from start to the first answer", found, "start_seconds")
        for axis, tail in zip(axes[1], TAILS, strict=True):
            _tails(axis, tail, found)
        path = folder / f"{model}.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        paths.append(path)
    return paths


def _bars(axis: Any, title: str, found: list[Comparison], what: str) -> None:
    ours = [value for one in found for value in getattr(one.ours, what)]
    bars = {OURS: ours, **{one.peer: getattr(one.theirs, what) for one in found}}
    heights = [statistics.median(values) for values in bars.values()]
    axis.bar_label(axis.barh(list(bars), heights, color=["C1", *["C0"] * len(found)]), fmt="%.3g")
    axis.set_xscale("log")
    axis.margins(x=0.2)
    axis.invert_yaxis()
    axis.set_title(title)


def _tails(axis: Any, tail: str, found: list[Comparison]) -> None:
    lines = {one.peer: one.theirs.paced for one in found}
    lines[OURS] = [paced for one in found for paced in one.ours.paced]
    for name, loads in lines.items():
        points = sorted(_points(loads, tail))
        style = {"color": "black", "linewidth": 2.5} if name == OURS else {}
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", label=name, **style)
    axis.set(xscale="log", yscale="log", xlabel="offered requests/s", ylabel="ms", title=tail)
    axis.grid(visible=True, which="both", alpha=0.3)
    if axis.lines:
        axis.legend()


def _points(loads: list[Paced], tail: str) -> list[tuple[int, float]]:
    found = ((paced.offered_rps, paced.tails()[tail]) for paced in loads)
    return [(rate, ms) for rate, ms in found if ms is not None]
