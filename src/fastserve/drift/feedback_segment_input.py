"""Which input of a model tells its rows apart: `[feedback] segment`. Loads no numpy."""

import re
from collections.abc import Sequence
from typing import Final

from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config import FeedbackConfig

FEATURE: Final = re.compile(r"(?P<tensor>.+)\[(?P<index>[0-9]{1,6})\]")


def segment_input(config: FeedbackConfig, inputs: Sequence[str]) -> int | None:
    """The place of the input that is to be kept with each prediction; None for none.

    For Version.watch(segment=...). Errors: InvalidConfig when the model has no such input.
    """
    if not config.segment:
        return None
    feature = FEATURE.fullmatch(config.segment)
    for name in (config.segment, feature["tensor"] if feature else config.segment):
        if name in inputs:
            return inputs.index(name)
    raise InvalidConfig(
        f"feedback.segment: {quoted(config.segment)} is no input of the model, and no element "
        f"NAME[INDEX] of one; it has {', '.join(inputs)}"
    )
