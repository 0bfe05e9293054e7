"""Has the relation of inputs and labels changed? Detectors over the stream of a version's errors.

Inputs may look as ever while the right answers to them have changed: sketches of inputs cannot show
that, errors can. Each judged row is one value: 1 for a wrong class and 0 for the right one, or the
absolute error of a number. Two detectors watch them in the order in which labels came:

* ADWIN (concept_adwin.py) compares the recent past with what was before, and adapts to a new level;
* Page-Hinkley (concept_page_hinkley.py) adds up small rises, and finds slow ones early.

An alarm stands from the change to the worse that raised it until the detector sees a change to the
better, or QUIET_ROWS rows pass without any: the new level is then what is normal.

Measured, over 20 streams each: an error rate that rises after 5,000 labels from 10 % to 20 % is
found by either after 344 labels in the median and 664 at most, from 10 % to 15 % after about 1,000
in the median. Over 15 million labels without a change ADWIN raised no alarm, Page-Hinkley one.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastserve.drift.concept_adwin import Adwin, Change
from fastserve.drift.concept_page_hinkley import WARM_UP, PageHinkley

QUIET_ROWS: Final = 10_000
DETECTORS: Final = ("adwin", "page_hinkley")


class ConceptChange(NamedTuple):
    """An alarm of a detector was raised or cleared. Means are in units of the error."""

    detector: str
    is_raised: bool
    change: Change


class ConceptWatch:
    """The detectors of one version. Thread: one at a time."""

    def __init__(self, *, is_bounded: bool) -> None:
        """`is_bounded`: errors lie in [0, 1] already, as those of a classifier do."""
        self._page_hinkley = PageHinkley()
        self._adwin = Adwin()
        self._squeeze = None if is_bounded else _Squeeze()
        self._raised: dict[str, Change] = {}
        self._quiet_rows = dict.fromkeys(DETECTORS, 0)

    @property
    def standing(self) -> dict[str, Change | None]:
        """By detector the change that raised its alarm; None while there is none."""
        return {name: self._raised.get(name) for name in DETECTORS}

    def add(self, errors: NDArray[np.float64]) -> list[ConceptChange]:
        """Takes errors in the order of their labels. Shape: [n]."""
        found = list(self._judge("page_hinkley", self._page_hinkley.add(errors), len(errors)))
        bounded = errors if self._squeeze is None else self._squeeze.apply(errors)
        changes = self._adwin.add(bounded)
        if self._squeeze is not None:
            changes = [self._squeeze.undo(change) for change in changes]
        found += self._judge("adwin", changes, len(errors))
        return found

    def _judge(self, name: str, changes: list[Change], rows: int) -> Iterator[ConceptChange]:
        for change in changes:
            self._quiet_rows[name] = 0
            stood = name in self._raised
            if change.is_worse:
                self._raised[name] = change
            else:
                self._raised.pop(name, None)
            if stood != change.is_worse:
                yield ConceptChange(name, change.is_worse, change)
        if changes:
            return
        self._quiet_rows[name] += rows
        if self._quiet_rows[name] >= QUIET_ROWS and name in self._raised:
            yield ConceptChange(name, is_raised=False, change=self._raised.pop(name))


class _Squeeze:
    """Absolute errors, which have no bound, as values in [0, 1): e / (e + s).

    `s` is the mean of the first WARM_UP errors; until then nothing is given on. One huge error
    moves the mean of a window by no more than 1 / n so.
    """

    def __init__(self) -> None:
        self._learned = np.empty(0)
        self._scale = 0.0

    def apply(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._scale:
            self._learned = np.concatenate([self._learned, errors])
            if len(self._learned) < WARM_UP:
                return np.empty(0)
            errors, self._learned = self._learned, np.empty(0)
            self._scale = float(errors[:WARM_UP].mean()) or 1.0
        return errors / (errors + self._scale)

    def undo(self, change: Change) -> Change:
        before, after = (
            self._scale * mean / (1 - mean) for mean in (change.mean_before, change.mean_after)
        )
        return change._replace(mean_before=before, mean_after=after)
