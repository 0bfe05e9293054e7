"""Drift in a terminal: a table of scores with sparklines, and histograms over each other."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from fastserve.cli.screen import print_table, printable

# Eighths of a cell, from nothing to full.
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_SPARK_CELLS: Final = 24
_HISTOGRAM_LINES: Final = 4
_MOST_FEATURES: Final = 3
_SMALLEST: Final = 1e-99


def print_drift(versions: Sequence[dict[str, Any]]) -> None:
    """Each version: what is compared with what, the scores, the shapes of the first features."""
    if not versions:
        click.echo("no version is watched")
    for number, each in enumerate(versions):
        if number:
            click.echo()
        _print_version(each)


def print_alarms(alarms: dict[str, list[dict[str, Any]]]) -> None:
    """What stands, then the latest changes, newest last."""
    if not alarms["standing"] and not alarms["recent"]:
        click.echo("no alarm stands, and none did")
        return
    columns = ["TIME", "ALARM", "KIND", "MODEL", "SUBJECT", "SCORE", "THRESHOLD", "ROWS"]
    rows = [("stands", alarm) for alarm in alarms["standing"]]
    rows += [("raised" if each["is_raised"] else "cleared", each) for each in alarms["recent"]]
    print_table(
        columns,
        [
            (
                _time(alarm["time"]),
                what,
                alarm["kind"],
                f"{alarm['model']}/{alarm['version']}",
                alarm["subject"],
                f"{alarm['evidence'].get('measure', '')} {alarm['score']:.3g}".strip(),
                f"{alarm['threshold']:.3g}",
                alarm["window"]["rows"],
            )
            for what, alarm in rows
        ],
        numeric=["THRESHOLD", "ROWS"],
    )


def profile_text(state: dict[str, Any]) -> str:
    """What a version is compared with, and what is being made."""
    if state["rows"]:
        origin = {
            "data": "from",
            "freeze": "frozen from live rows of",
            "version": "from live rows of",
        }
        text = f"profile of {state['rows']} rows, {origin.get(state['origin'], 'from')} "
        text += state["source"]
        if not state["has_outputs"]:
            text += ", inputs only"
    else:
        text = "no profile"
    if state["freeze_wanted_rows"]:
        text += f"; freezing {state['freeze_rows']} of {state['freeze_wanted_rows']} rows"
    return text


def sparkline(values: Sequence[float], top: float = 1.0) -> str:
    """The last values as blocks; the highest block is `top` and above."""
    cells = [min(1.0, max(0.0, value / top)) for value in values[-_SPARK_CELLS:]]
    return "".join(_BLOCKS[1 + round(cell * 7)] for cell in cells)


def histogram_lines(shares: Sequence[float], top: float, lines: int) -> list[str]:
    """Columns of `shares`, highest line first; a column of `top` fills all lines."""
    heights = [0.0 if top <= 0 else share / top * lines * 8 for share in shares]
    drawn = []
    for line in reversed(range(lines)):
        cells = (round(min(8, max(0, height - line * 8))) for height in heights)
        drawn.append("".join(_BLOCKS[cell] for cell in cells))
    return drawn


def _print_version(version: dict[str, Any]) -> None:
    name = f"{version['model']}/{version['version']}"
    click.echo(printable(f"{name}: {profile_text(version['profile'])}"))
    if version["problem"]:
        click.echo(printable(f"problem: {version['problem']}"))
    window = version.get("window")
    if window is None:
        click.echo("no row has come yet")
    else:
        verdict = "judged" if version["is_judged"] else "not judged"
        click.echo(
            f"window {_time(window['start'])} to {_time(window['end'])}, {window['rows']} rows, "
            f"{verdict}"
        )
        if not version["is_judged"] and version["profile"]["rows"]:
            click.echo(
                f"judged are windows of {version['judged_seconds']} s that are over, with at least "
                f"{version['minimum_rows']} rows"
            )
    if version["rows_skipped"]:
        click.echo(f"{version['rows_skipped']} of {version['rows_seen']} rows were not sketched")
    features = version["features"]
    if not features:
        return
    click.echo()
    _print_scores(features)
    rest = version["feature_count"] - len(features)
    if rest > 0:
        click.echo(f"... {rest} more features; --top 0 shows all")
    for feature in features[:_MOST_FEATURES]:
        _print_shapes(feature)


def _print_scores(features: Iterable[dict[str, Any]]) -> None:
    rows = []
    for feature in features:
        scores = feature["scores"]
        rows.append(
            (
                _titled(feature),
                "ALARM" if feature["has_alarm"] else "",
                *(_score(scores.get(name)) for name in ("psi", "ks", "wasserstein", "cramers_v")),
                _score(scores.get("missing_change")),
                f"{feature['measure']} {feature['severity']:.0%}" if feature["measure"] else "",
                _chance(feature["p_value"]) if feature["measure"] else "",
                sparkline(feature["history"]),
            )
        )
    columns = ["FEATURE", "", "PSI", "KS", "WASSERSTEIN", "CRAMER V", "MISSING",
               "OF THRESHOLD", "CHANCE", "LAST WINDOWS"]  # fmt: skip
    print_table(columns, rows, numeric=["PSI", "KS", "WASSERSTEIN", "CRAMER V", "MISSING"])


def _print_shapes(feature: dict[str, Any]) -> None:
    sides = [feature.get("reference"), feature.get("live")]
    shares = [side["shares"] if side else [] for side in sides]
    if not any(shares):
        return
    click.echo(f"\n{printable(_titled(feature))}")
    if feature["categories"]:
        _print_bars(feature["categories"], shares)
        return
    top = max(max(each, default=0.0) for each in shares)
    for label, side, each in zip(("reference", "live"), sides, shares, strict=True):
        if not each:
            continue
        lines = histogram_lines(each, top, _HISTOGRAM_LINES)
        for number, line in enumerate(lines):
            head = label if number == len(lines) - 1 else ""
            click.echo(f"{head:>10} |{line}|{_summary(side) if head else ''}")
    low, high = feature["edges"][0], feature["edges"][-1]
    width = len(feature["edges"]) - 1
    click.echo(f"{'':>11} {f'{low:.4g}':<{max(1, width - len(f'{high:.4g}'))}}{high:.4g}")


def _print_bars(categories: Sequence[str], shares: Sequence[Sequence[float]]) -> None:
    rows = []
    for at, category in enumerate(categories):
        sides = [each[at] if each else math.nan for each in shares]
        rows.append(
            (category, *(cell for share in sides for cell in (_percent(share), _bar(share))))
        )
    print_table(["VALUE", "REFERENCE", "", "LIVE", " "], rows, numeric=["REFERENCE", "LIVE"])


def _bar(share: float, cells: int = 20) -> str:
    if math.isnan(share):
        return ""
    eighths = round(share * cells * 8)
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")


def _summary(side: dict[str, Any] | None) -> str:
    if side is None:
        return ""
    missing = f", {side['missing'] / side['count']:.1%} missing" if side["missing"] else ""
    return f" mean {side['mean']:.4g}, deviation {side['deviation']:.4g}{missing}"


def _titled(feature: dict[str, Any]) -> str:
    label = f" ({feature['label']})" if feature["label"] else ""
    unit = f" [{feature['unit']}]" if feature["unit"] else ""
    return f"{feature['name']}{label}{unit}"


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{share:.1%}"


def _chance(p_value: float) -> str:
    return f"<{_SMALLEST:g}" if p_value < _SMALLEST else f"{p_value:.1g}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
