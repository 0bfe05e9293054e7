"""Numbers of the command line within bounds. NaN is in all of click's: no comparison fails."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A click.FloatRange without NaN and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number
