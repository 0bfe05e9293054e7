"""Golden answers: what a version must say before it may answer anybody.

Compared element by element, |got - expected| <= absolute + relative * |expected|; what is not a
number must be the same, and NaN is equal to NaN. Tolerances are `[golden]` of model.toml.
"""

from typing import TYPE_CHECKING, Any

from fastserve._core import core
from fastserve.errors import VersionFailed, quoted
from fastserve.model_config import GoldenConfig
from fastserve.models.example import Example, array_of, wire_inputs

if TYPE_CHECKING:
    import numpy as np


def check_golden(version: core.Version, example: Example, tolerance: GoldenConfig) -> None:
    """Runs the example and holds the answer against it.

    Errors: VersionFailed naming the file, the output and its worst element; CoreError when the run
    itself fails; ArtifactCorrupt for an example that does not fit the model.
    """
    specs = version.outputs
    outputs = {spec.name for spec in specs}
    unknown = sorted(set(example.outputs) - outputs)
    if unknown or not example.outputs:
        what = f"answer {quoted(unknown[0])} is no output" if unknown else "it holds no answer"
        known = ", ".join(map(quoted, sorted(outputs)))
        raise VersionFailed(f"{example.name}: {what}; expected arrays named {known}")
    answers = version.run(wire_inputs(example, tuple(version.inputs)))
    for spec, answer in zip(specs, answers, strict=True):
        if spec.name not in example.outputs:
            continue
        if answer is None:
            raise VersionFailed(f"{example.name}: output {quoted(spec.name)} was left out")
        problem = _difference(array_of(*answer), example.outputs[spec.name], tolerance)
        if problem:
            raise VersionFailed(
                f"golden answer {example.name}: output {quoted(spec.name)} {problem}"
            )


def _difference(got: "np.ndarray[Any, Any]", expected: Any, tolerance: GoldenConfig) -> str:
    """What is wrong; empty when nothing is."""
    import numpy as np  # noqa: PLC0415 - only where examples exist

    expected = np.asarray(expected)
    if got.shape != expected.shape:
        return f"has shape {list(got.shape)}, expected {list(expected.shape)}"
    if got.dtype.kind not in "fiu" or expected.dtype.kind not in "fiu":
        wrong = np.array(
            [_text(a) != _text(b) for a, b in zip(got.ravel(), expected.ravel(), strict=True)],
            dtype=bool,
        )
    else:
        wrong = ~np.isclose(
            got.ravel(),
            expected.ravel(),
            rtol=tolerance.relative_tolerance,
            atol=tolerance.absolute_tolerance,
            equal_nan=True,
        )
    if not wrong.any():
        return ""
    place = int(np.flatnonzero(wrong)[0])
    index = [int(axis) for axis in np.unravel_index(place, got.shape)]
    return (
        f"differs in {int(wrong.sum())} of {wrong.size} elements, first at {index}: "
        f"got {_text(got.ravel()[place])}, expected {_text(expected.ravel()[place])}"
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
