"""A report as one HTML file: tables and plots in inline SVG, no script, nothing to load."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from fastserve.bench.comparison import Comparison
from fastserve.bench.distribution import SHOWN, Distribution
from fastserve.bench.result import LoadResult
from fastserve.bench.sweep import Sweep

_WIDTH: Final = 720
_HEIGHT: Final = 260
_LEFT: Final = 70
_BOTTOM: Final = 40
_COLOURS: Final = ("#1f6feb", "#d1622b", "#2da44e", "#8250df")
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #1c2128; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .2rem .8rem; border-bottom: 1px solid #d0d7de; text-align: right; }
td:first-child, th:first-child { text-align: left; }
svg { display: block; margin: 1rem 0; background: #fbfcfd; }
svg text { font-size: 11px; fill: #57606a; }
"""

Series = tuple[str, Sequence[tuple[float, float]]]


def load_page(title: str, result: LoadResult, server: dict[str, dict[str, Any]]) -> str:
    """One load."""
    ticks = result.ticks
    parts = [
        _interruption(result),
        _facts(result),
        _percentile_table({"latency": result.latency, "send delay": result.delay}),
        _plot(
            "Latency by percentile (ms)",
            [(name, _curve(each)) for name, each in result.models.items()],
            x_labels=_PERCENTILE_TICKS,
        ),
        _plot(
            "OK answers per second",
            [("rate", [(tick.seconds, tick.requests_per_second) for tick in ticks])],
        ),
        _plot(
            "Latency over time (ms)",
            [
                ("p50", [(tick.seconds, tick.p50_ms) for tick in ticks]),
                ("p99", [(tick.seconds, tick.p99_ms) for tick in ticks]),
            ],
        ),
        _server_table(server),
    ]
    return _page(title, parts)


def sweep_page(title: str, sweep: Sweep) -> str:
    """A sweep: the p99 of each rate, and the knee."""
    steps = sorted(sweep.steps, key=lambda step: step.offered_per_second)
    points = [(step.offered_per_second, step.result.latency.percentile(99) / 1e6) for step in steps]
    ends = [points[0][0], points[-1][0]] if points else []
    target = [(x, sweep.target.p99_ms) for x in ends]
    rows = [
        (
            f"{step.offered_per_second:.0f}",
            f"{step.result.requests_per_second:.0f}",
            f"{step.result.latency.percentile(50) / 1e6:.3f}",
            f"{step.result.latency.percentile(99) / 1e6:.3f}",
            step.problem or "holds",
        )
        for step in steps
    ]
    parts = [
        _interruption(sweep),
        _paragraph(
            f"p99 within {sweep.target.p99_ms:g} ms up to {sweep.knee_per_second:.0f} requests/s."
        ),
        _plot("p99 (ms) by offered requests per second", [("p99", points), ("target", target)]),
        _table(("offered/s", "answered/s", "p50 ms", "p99 ms", "verdict"), rows),
    ]
    return _page(title, parts)


def comparison_page(title: str, names: tuple[str, str], comparison: Comparison) -> str:
    """Two servers: ratios with their intervals, medians by round."""
    ratios = [
        (name, f"{ratio.value:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}")
        for name, ratio in comparison.ratios().items()
    ]
    sides = list(zip(names, (comparison.first, comparison.second), strict=True))
    medians = [
        (name, [(n + 1.0, r.latency.percentile(50) / 1e6) for n, r in enumerate(rounds)])
        for name, rounds in sides
    ]
    parts = [
        _interruption(comparison),
        _paragraph(f"{names[1]} over {names[0]}, {len(comparison.first)} rounds."),
        _table(("second over first", "ratio", "95 % interval"), ratios if comparison.first else []),
        _plot("Median latency by round (ms)", medians),
    ]
    return _page(title, parts)


def _interruption(result: LoadResult | Sweep | Comparison) -> str:
    return _paragraph(
        "Interrupted; this is what was measured until then." if result.is_interrupted else ""
    )


def _facts(result: LoadResult) -> str:
    cost = result.cpu_seconds * 1e6 / max(1, result.sent)
    rows = [
        ("requests/s", f"{result.requests_per_second:.0f}"),
        ("offered/s", f"{result.offered_per_second:.0f}" if result.offered_per_second else "-"),
        ("measured", f"{result.seconds:.2f} s"),
        ("warm-up", f"{result.warm_up_seconds:.2f} s"),
        ("sent", f"{result.sent}"),
        ("errors", f"{result.errors} ({result.error_rate:.3%})"),
        ("generator's CPU per request", f"{cost:.2f} us"),
    ]
    for model, statuses in result.statuses.items():
        rows += [(f"{model}: {status}", f"{count}") for status, count in statuses.items()]
    return _paragraph(result.failure) + _table(("", ""), rows)


def _percentile_table(distributions: dict[str, Distribution]) -> str:
    names = list(distributions["latency"].as_dict())
    rows = [
        (name, *(f"{each.as_dict()[key]:.3f}" for key in names))
        for name, each in distributions.items()
    ]
    return _table(("milliseconds", *names), rows)


def _server_table(server: dict[str, dict[str, Any]]) -> str:
    if not server:
        return ""
    keys = list(next(iter(server.values())))
    rows = [(model, *(_number(values[key]) for key in keys)) for model, values in server.items()]
    return "<h2>Counted by the server</h2>" + _table(("model", *keys), rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 4):.12g}"


# Nines on the x axis: 0 is p0, 1 is p90, 2 is p99.
_PERCENTILE_TICKS: Final = [(-math.log10(1 - p / 100), f"p{p:g}") for p in SHOWN]


def _curve(distribution: Distribution) -> list[tuple[float, float]]:
    steps = [each / 20 for each in range(81)]
    most = math.log10(max(distribution.count, 1))
    return [
        (nines, distribution.percentile(100 * (1 - 10**-nines)) / 1e6)
        for nines in steps
        if nines <= most
    ]


def _plot(title: str, series: Sequence[Series], x_labels: Iterable[tuple[float, str]] = ()) -> str:
    points = [point for _, line in series for point in line]
    if not points:
        return ""
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    top = max(y for _, y in points) * 1.05 or 1.0
    width = (high - low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - low) / width * (_WIDTH - _LEFT - 20)
        return across, _HEIGHT - _BOTTOM - y / top * (_HEIGHT - _BOTTOM - 30)

    marks = list(x_labels) or [(low + width * part / 4, "") for part in range(5)]
    drawn = [f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)}</text>']
    for part in range(5):
        value = top * part / 4
        _, y = place(low, value)
        drawn.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d8dee4"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        )
    for value, label in marks:
        if low <= value <= high:
            x, _ = place(value, 0)
            drawn.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
                f"{label or f'{value:.4g}'}</text>"
            )
    for number, (name, line) in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(
            f'<text x="{_LEFT + 150 * number}" y="{_HEIGHT - 6}" style="fill:{colour}">'
            f"{escape(name)}</text>"
        )
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">{"".join(drawn)}</svg>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _page(title: str, parts: Iterable[str]) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"{''.join(parts)}</body></html>\n"
    )
