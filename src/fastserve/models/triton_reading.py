"""A ModelConfig while it is read: where each field stands, and what was ignored on the way."""

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidConfig, quoted
from fastserve.models.triton_lines import FieldLines, FieldPath, Key


class Reading:
    """One message from one text. `lines` is None where the text has none, in JSON."""

    def __init__(self, message: pb.ModelConfig, *, name: str, lines: FieldLines | None) -> None:
        self.message = message
        self.name = name
        self._lines = lines
        self._ignored: list[tuple[int, str]] = []

    @property
    def ignored(self) -> tuple[str, ...]:
        """What has no effect here and why, in the order of the text."""
        return tuple(text for _, text in sorted(self._ignored, key=lambda entry: entry[0]))

    def place(self, path: FieldPath) -> str:
        """`config.pbtxt:12: dynamic_batching.priority_levels`; without lines `config: ...`."""
        line = "" if self._lines is None else f":{self._lines.line(path)}"
        return f"{self.name}{line}: {path_text(path)}"

    def refused(self, path: FieldPath, why: str) -> InvalidConfig:
        """To be raised."""
        return InvalidConfig(f"{self.place(path)}: {why}")

    def ignore(self, path: FieldPath, why: str) -> None:
        line = 0 if self._lines is None else self._lines.line(path)
        self._ignored.append((line, f"{self.place(path)}: {why}"))

    def whole(self, path: FieldPath, value: int, *, least: int, most: int) -> int:
        """`value`, within bounds. Errors: InvalidConfig."""
        if not least <= value <= most:
            raise self.refused(path, f"got {value}, expected {least} to {most}")
        return value


def path_text(path: FieldPath) -> str:
    """`input[0].dims`, `parameters['execution_mode'].string_value`."""
    text = ""
    for step in path:
        if isinstance(step, Key):
            shown = quoted(step.value) if isinstance(step.value, str) else step.value
            text += f"[{shown}]"
        elif isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
