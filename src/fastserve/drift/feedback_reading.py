"""Which outputs of a prediction are its answer: told by model.toml, else by their datatypes."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from fastserve._core import core
from fastserve.drift.feedback_label import InvalidLabel
from fastserve.drift.feedback_tensors import FLOATS, rows_of, width_of
from fastserve.errors import quoted
from fastserve.model_config import FeedbackConfig

Task = Literal["classification", "regression"]
# Name, datatype and elements a row of each output: predictions that are alike are read together.
Layout = tuple[tuple[str, str, int], ...]


class Reading(NamedTuple):
    """Places of the outputs that matter. A classifier has one of them or both."""

    task: Task
    # Of the class's name, or of the number.
    answer: int | None
    # Of probabilities or scores, and how many there are a row.
    scores: int | None
    width: int = 0

    @property
    def places(self) -> list[int]:
        return [place for place in (self.answer, self.scores) if place is not None]


def layout_of(outputs: Sequence[core.KeptTensor]) -> Layout:
    return tuple((tensor.name, tensor.datatype, width_of(tensor)) for tensor in outputs)


def read_layout(layout: Layout, config: FeedbackConfig) -> Reading:
    """Errors: InvalidLabel where no output fits, or more than one does and none is named."""
    places = list(range(len(layout)))
    if config.output:
        places = [place for place in places if layout[place][0] == config.output]
        if not places:
            known = ", ".join(name for name, _, _ in layout) or "none"
            raise InvalidLabel(
                f"the prediction has no output {quoted(config.output)}, which feedback.output "
                f"names; it has {known}"
            )
    names = [place for place in places if layout[place][1] not in FLOATS and layout[place][2] == 1]
    scores = [place for place in places if layout[place][1] in FLOATS]
    if _task(layout, names, scores, config) == "regression":
        numbers = [place for place in scores if layout[place][2] == 1] or [
            place for place in names if layout[place][1] != "BYTES"
        ]
        return Reading("regression", _only(layout, numbers, "one number a row"), None)
    wide = [place for place in scores if layout[place][2] > 1] or scores
    answer = _only(layout, names, "a class") if names else None
    score = _only(layout, wide, "scores") if wide and (answer is None or len(wide) == 1) else None
    if answer is None and score is None:
        raise InvalidLabel("the prediction has no output with a class or scores")
    return Reading("classification", answer, score, 0 if score is None else layout[score][2])


def prediction_rows(prediction: core.Prediction, reading: Reading) -> int:
    """Errors: InvalidLabel where the outputs do not agree."""
    first, *others = [rows_of(prediction.outputs[place]) for place in reading.places]
    for count in others:
        if count != first:
            raise InvalidLabel(f"the prediction's outputs have {first} and {count} rows")
    return first


def _task(layout: Layout, names: list[int], scores: list[int], config: FeedbackConfig) -> Task:
    if config.task != "auto":
        return config.task
    is_told = bool(config.classes) or config.positive_class is not None
    is_wide = any(layout[place][2] > 1 for place in scores)
    return "classification" if names or is_wide or is_told else "regression"


def _only(layout: Layout, places: list[int], what: str) -> int:
    if len(places) == 1:
        return places[0]
    names = ", ".join(layout[place][0] for place in places)
    if not places:
        raise InvalidLabel(f"the prediction has no output with {what}")
    raise InvalidLabel(f"outputs {names} may each be the one with {what}: name it, feedback.output")
