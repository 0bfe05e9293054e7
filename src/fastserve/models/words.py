"""Words about a model, numbered: what was said later is not undone by what takes longer.

A load is asked for at one moment and ends at another. In between somebody may have gone back to the
version before, or unloaded the very one that loads: the later word holds.

Thread: the event loop's.
"""

from collections.abc import Collection

# Stands for all versions of a model.
ALL = 0


class Words:
    """Of all models, by name."""

    def __init__(self) -> None:
        self._spoken: dict[str, int] = {}
        # The latest about what serves that took effect.
        self._effective: dict[str, int] = {}
        # The latest by which a version, or ALL, was unloaded.
        self._withdrawn: dict[str, dict[int, int]] = {}

    def speak(self, name: str) -> int:
        """A new word; later than all before."""
        self._spoken[name] = self._spoken.get(name, 0) + 1
        return self._spoken[name]

    def last(self, name: str) -> int:
        """For what nobody said: it goes after all words so far and before the next one."""
        return self._spoken.get(name, 0)

    def take_effect(self, name: str, word: int) -> bool:
        """Whether no later word about what serves did; then this one does, from here on."""
        if word < self._effective.get(name, 0):
            return False
        self._effective[name] = word
        return True

    def withdraw(self, name: str, number: int, word: int) -> None:
        """No load of the version that was asked for before `word` makes it answer."""
        self._withdrawn.setdefault(name, {})[number] = word

    def is_withdrawn(self, name: str, number: int, word: int) -> bool:
        """Whether the version was unloaded after a load of it was asked for by `word`."""
        withdrawn = self._withdrawn.get(name, {})
        return word < max(withdrawn.get(number, 0), withdrawn.get(ALL, 0))

    def forget(self, name: str, numbers: Collection[int]) -> None:
        """Versions that are not there any more."""
        withdrawn = self._withdrawn.get(name, {})
        for number in numbers:
            withdrawn.pop(number, None)
