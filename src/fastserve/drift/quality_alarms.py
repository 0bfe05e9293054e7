"""Alarms of kind "quality": a closed window held against the bounds that model.toml names."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Protocol

from fastserve.drift.alarm import Alarm, Evidence, Kind, Window
from fastserve.drift.quality_windows import QualityWindow
from fastserve.model_config import QUALITY_MEASURES, FeedbackConfig

# What labels can raise.
KINDS: Final[tuple[Kind, ...]] = ("quality", "concept")


class AlarmSink(Protocol):
    """Who is told of alarms: fastserve.drift.alarm.AlarmBook."""

    def report(self, alarm: Alarm) -> None: ...
    def clear(
        self, model: str, version: int, why: str, now: float, kinds: Collection[Kind]
    ) -> None: ...


def judge_window(
    window: QualityWindow,
    measures: Mapping[str, float],
    config: FeedbackConfig,
    version: tuple[str, int],
    now: float,
) -> Iterator[Alarm]:
    """One for each bound whose measure the window tells: raised where it is worse, else cleared.

    `measures`: of all its rows, the gaps between segments among them.
    """
    for measure, bound in config.bounds.items():
        value = measures.get(measure, math.nan)
        if math.isnan(value):
            continue
        model, number = version
        evidence: Evidence = {"measure": measure, "labels": window.rows}
        if measure == "auc":
            evidence["error"] = measures["auc_error"]
        yield Alarm(
            kind="quality",
            model=model,
            version=number,
            subject=measure,
            is_raised=value < bound if QUALITY_MEASURES[measure] else value > bound,
            score=value,
            threshold=bound,
            window=Window(window.start, window.end, window.rows),
            evidence=evidence,
            time=now,
        )
