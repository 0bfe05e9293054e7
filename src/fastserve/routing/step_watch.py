"""The evidence of one step: what both arms did since it began, and what it amounts to."""

import math
from collections.abc import Sequence

from fastserve.routing.evidence import ArmSource, PairReader
from fastserve.routing.judge import Judge, Judgement
from fastserve.routing.rollout_record import RolloutRecord


class StepWatch:
    """Begins with nothing: with each step, after a pause and after a restart."""

    def __init__(
        self,
        record: RolloutRecord,
        source: ArmSource,
        bounds: Sequence[float],
        *,
        now: float,
        time: float,
    ) -> None:
        """`now`: monotonic; `time`: of the wall clock, which minutes are named by."""
        self._model = record.model
        self._candidate = record.rollout.candidate
        self._baseline = record.rollout.baseline
        self._source = source
        self._began = now
        # Rows of a minute that had begun before came under another weight.
        self._minutes_after = [math.ceil(time) - 1] * 2
        self._reader = PairReader(source, self._model, self._candidate, self._baseline)
        self._judge = Judge(record.rollout, record.step, bounds)
        self._reader.read()
        self.judgement = self._judge.judge(0.0)

    def look(self, now: float) -> Judgement:
        """Takes what is new, and judges."""
        pair = self._reader.read()
        if pair is not None:
            self._judge.add(pair)
        candidate, baseline = (
            list(self._source.minutes(self._model, version, after))
            for version, after in zip(
                (self._candidate, self._baseline), self._minutes_after, strict=True
            )
        )
        for index, minutes in enumerate((candidate, baseline)):
            if minutes:
                self._minutes_after[index] = minutes[-1].start
        if candidate or baseline:
            self._judge.add_minutes(candidate, baseline)
        self.judgement = self._judge.judge(now - self._began)
        return self.judgement
