"""What the server itself counted during a load: the difference of two ModelStatistics."""

from collections.abc import Iterable
from typing import Any, Final

_DURATIONS: Final = ("queue", "compute_input", "compute_infer", "compute_output")


def server_side(
    before: Iterable[dict[str, Any]], after: Iterable[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """By model, all versions together: requests, rows, executions, mean milliseconds.

    Both are lists of ModelStatistics as dictionaries. Other clients' requests count as well.
    """
    first = _sums(before)
    result = {}
    for model, last in _sums(after).items():
        gained = {key: value - first.get(model, {}).get(key, 0) for key, value in last.items()}
        executions = gained["executions"]
        result[model] = {
            "succeeded": gained["success.count"],
            "failed": gained["fail.count"],
            "rows": gained["rows"],
            "executions": executions,
            "rows_per_execution": gained["rows"] / executions if executions else None,
            "request_ms": _mean(gained, "success"),
            **{f"{name}_ms": _mean(gained, name) for name in _DURATIONS},
        }
    return result


def _sums(statistics: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for entry in statistics:
        model = sums.setdefault(entry["name"], {})
        stats = entry.get("inference_stats") or {}
        values = {
            "rows": entry.get("inference_count", 0),
            "executions": entry.get("execution_count", 0),
        }
        for name in ("success", "fail", *_DURATIONS):
            for part in ("count", "ns"):
                values[f"{name}.{part}"] = (stats.get(name) or {}).get(part, 0)
        for key, value in values.items():
            model[key] = model.get(key, 0) + int(value)
    return sums


def _mean(gained: dict[str, int], name: str) -> float | None:
    count = gained[f"{name}.count"]
    return gained[f"{name}.ns"] / count / 1e6 if count else None
