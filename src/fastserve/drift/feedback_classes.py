"""The classes of a model by name: each has a small number, which is what the sums count by."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fastserve.drift.feedback_label import InvalidLabel
from fastserve.errors import quoted
from fastserve.model_config import MAX_CLASSES


class ClassTable:
    """Names that were declared, in their order, or that came. Thread: one at a time."""

    def __init__(self, declared: Sequence[str]) -> None:
        self._is_closed = bool(declared)
        self._codes = {name: code for code, name in enumerate(declared)}

    def __len__(self) -> int:
        return len(self._codes)

    def code(self, name: str) -> int:
        """Errors: InvalidLabel for one that was not declared, or that is one too many."""
        code = self._codes.get(name)
        if code is not None:
            return code
        if self._is_closed:
            known = ", ".join(list(self._codes)[:10])
            raise InvalidLabel(f"{quoted(name)} is no class of this model, expected {known}")
        if len(self._codes) >= MAX_CLASSES:
            raise InvalidLabel(
                f"{quoted(name)} would be class {MAX_CLASSES + 1}: is the task regression?"
            )
        self._codes[name] = len(self._codes)
        return self._codes[name]

    def list_codes(self, names: Iterable[str]) -> list[int]:
        """Errors: as `code`."""
        known = self._codes
        return [known[name] if name in known else self.code(name) for name in names]

    def codes(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Errors: as `code`."""
        return np.array(self.list_codes(names), np.int64)
