"""Whose the tokens are that calls came with, by the numbers that the core knows them under.

A number is a token's place in the list in its low 16 bits, and above them how often the list was
replaced (csrc/fastserve/front/token_list.h): a record that is read after the list was replaced
still names its caller.

Thread: any.
"""

from collections.abc import Sequence
from typing import Final

_KEPT_LISTS: Final = 8
_LISTS: Final = 1 << 15
_PLACES: Final = 1 << 16


class ActorNames:
    """Replaced whenever the core's list is."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._replaced = 1
        self._lists = {1: tuple(names)}

    def replace(self, names: Sequence[str]) -> None:
        self._replaced += 1
        lists = {**self._lists, self._replaced % _LISTS: tuple(names)}
        # The names of records that nobody reads any more go.
        self._lists = dict(list(lists.items())[-_KEPT_LISTS:])

    def number_of(self, name: str) -> int:
        """-1 for a name that is none of a token."""
        number = self._replaced % _LISTS
        names = self._lists[number]
        return number * _PLACES + names.index(name) if name in names else -1

    def name_of(self, number: int) -> str | None:
        """None where no token came, or a refused one."""
        names = self._lists.get(number // _PLACES, ())
        place = number % _PLACES
        return names[place] if place < len(names) else None
