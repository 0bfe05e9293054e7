"""The labels of one model: refused, or judged, and added to the quality of their version."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastserve.drift.alarm import Alarm
from fastserve.drift.feedback_judgement import Classifier, Pair, check_numbers, check_rows
from fastserve.drift.feedback_label import InvalidLabel
from fastserve.drift.feedback_reading import Layout, Reading, layout_of, read_layout
from fastserve.drift.feedback_segments import SegmentTable
from fastserve.drift.feedback_tensors import floats, numbers
from fastserve.drift.feedback_version import VersionQuality
from fastserve.drift.quality_alarms import KINDS, AlarmSink
from fastserve.drift.quality_classification import ClassificationSums, JudgedRows
from fastserve.drift.quality_regression import RegressionSums
from fastserve.model_config import FeedbackConfig

if TYPE_CHECKING:
    from fastserve.drift.quality_windows import Sums

# Of a model; the one whose last label is the oldest makes room.
MAX_VERSIONS: Final = 16


class _Judge(NamedTuple):
    """How predictions of one version and layout are read, and where the result goes."""

    reading: Reading
    classifier: Classifier | None
    quality: VersionQuality

    @property
    def judged_place(self) -> int | None:
        """Place of the output whose numbers are judged."""
        return self.reading.answer if self.classifier is None else self.reading.scores

    @property
    def unreadable(self) -> str:
        expected = "numbers" if self.classifier is None else "scores"
        return f"the prediction has values that are no {expected}: NaN, or an infinity"


class ModelFeedback:
    """Thread: the event loop's."""

    def __init__(self, model: str, config: FeedbackConfig, max_segments: int) -> None:
        self.model = model
        self.config = config
        self._segments = SegmentTable(config, max_segments)
        # From a request's arrival to its label, over all that were joined.
        self.delay_seconds = 0.0
        self.joined = 0
        # The version labelled last is the last one.
        self._judges: dict[int, tuple[Layout, _Judge]] = {}

    @property
    def versions(self) -> list[VersionQuality]:
        return [judge.quality for _, judge in self._judges.values()]

    def judge(self, pairs: Sequence[Pair], now: float, alarms: AlarmSink) -> dict[int, str]:
        """Takes what it can; why the others are invalid, by their place."""
        problems: dict[int, str] = {}
        alike: defaultdict[tuple[int, Layout], list[Pair]] = defaultdict(list)
        for pair in pairs:
            layout = layout_of(pair.prediction.outputs)
            alike[pair.prediction.version, layout].append(pair)
        for (version, layout), group in alike.items():
            try:
                judge = self._judge_for(version, layout, group[0], now, alarms)
                for alarm in judge.quality.roll(now):
                    alarms.report(alarm)
                self._judge_group(judge, group, problems, now, alarms)
            except InvalidLabel as error:
                problems |= dict.fromkeys((pair.place for pair in group), str(error))
        return problems

    def roll(self, now: float) -> Iterator[Alarm]:
        for quality in self.versions:
            yield from quality.roll(now)

    def clear(self, why: str, now: float, alarms: AlarmSink) -> None:
        """Nothing of what was said of this model stands any more."""
        for version in self._judges:
            alarms.clear(self.model, version, why, now, KINDS)

    def _judge_for(
        self, version: int, layout: Layout, first: Pair, now: float, alarms: AlarmSink
    ) -> _Judge:
        known = self._judges.get(version)
        if known is None or known[0] != layout:
            made = self._make_judge(version, layout, first)
            if known is not None:
                alarms.clear(self.model, version, "its outputs are others now", now, KINDS)
            elif len(self._judges) >= MAX_VERSIONS:
                oldest = next(iter(self._judges))
                del self._judges[oldest]
                why = f"{MAX_VERSIONS} other versions were labelled later"
                alarms.clear(self.model, oldest, why, now, KINDS)
            known = (layout, made)
        self._judges.pop(version, None)
        self._judges[version] = known
        return known[1]

    def _make_judge(self, version: int, layout: Layout, first: Pair) -> _Judge:
        reading = read_layout(layout, self.config)
        make: Callable[[], Sums] = RegressionSums
        classifier = None
        if reading.task == "classification":
            classifier = Classifier(self.config, reading)
            positive = classifier.prepare(first.prediction)

            def make() -> ClassificationSums:
                return ClassificationSums(positive)

        return _Judge(reading, classifier, VersionQuality(self.model, version, self.config, make))

    def _judge_group(
        self,
        judge: _Judge,
        group: Sequence[Pair],
        problems: dict[int, str],
        now: float,
        alarms: AlarmSink,
    ) -> None:
        sound: list[Pair] = []
        truths: list[float] = []
        is_readable = _all_readable(judge, group)
        for pair in group:
            try:
                check_rows(pair, judge.reading)
                if not is_readable and not _all_readable(judge, [pair]):
                    raise InvalidLabel(judge.unreadable)  # noqa: TRY301 - as the other checks do
                values = pair.label.values
                truths += (
                    check_numbers(values)
                    if judge.classifier is None
                    else judge.classifier.check(pair.label)
                )
                sound.append(pair)
            except InvalidLabel as error:
                problems[pair.place] = str(error)
        if not sound:
            return
        self.joined += len(sound)
        self.delay_seconds += sum(_delay_ns(pair, int(now * 1e9)) for pair in sound) / 1e9
        truth = np.array(truths, np.float64 if judge.classifier is None else np.int64)
        rows = _judged(judge, sound, truth)
        segments = (
            [
                name
                for pair in sound
                for name in self._segments.of(pair.prediction, len(pair.label.values))
            ]
            if self._segments.is_used
            else None
        )
        for alarm in judge.quality.add(rows, segments, now):
            alarms.report(alarm)


def _all_readable(judge: _Judge, pairs: Sequence[Pair]) -> bool:
    """Nothing is NaN, which would stay in every sum, and in a detector for good.

    Nor an infinity, which only the scores of a classifier may be: they have their order.
    """
    if judge.judged_place is None:
        return True
    try:
        values = numbers([pair.prediction.outputs[judge.judged_place] for pair in pairs])
    except ValueError:
        # Not as large as its shape says: `_judged` tells.
        return True
    is_sound = ~np.isnan(values) if judge.classifier is not None else np.isfinite(values)
    return bool(is_sound.all())


def _delay_ns(pair: Pair, now_ns: int) -> int:
    """From the request to its label. Clocks differ: one that is ahead makes no delay longer."""
    told_ns = min(pair.label.time_ns or now_ns, now_ns)
    return max(0, told_ns - pair.prediction.time_ns)


def _judged(
    judge: _Judge, pairs: Sequence[Pair], truth: NDArray[Any]
) -> JudgedRows | NDArray[np.float64]:
    try:
        return _judged_alike(judge, pairs, truth)
    except InvalidLabel:
        raise
    except ValueError:
        # What the engine kept cannot be so; what was put from elsewhere may.
        raise InvalidLabel(
            "the prediction's outputs are not as large as their shapes say"
        ) from None


def _judged_alike(
    judge: _Judge, pairs: Sequence[Pair], truth: NDArray[Any]
) -> JudgedRows | NDArray[np.float64]:
    if judge.classifier is not None:
        return judge.classifier.judge(pairs, truth)
    assert judge.reading.answer is not None  # noqa: S101 - a regressor always has one
    tensors = [pair.prediction.outputs[judge.reading.answer] for pair in pairs]
    errors: NDArray[np.float64] = floats(tensors, 1)[:, 0] - truth
    return errors
