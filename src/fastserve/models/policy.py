"""Which versions of a model should be loaded, and which of them serves: pure functions.

`[versions]` says how many: the newest `latest` ones (one, unless said otherwise), `all`, or those
that `specific` lists. Beside them stay loaded: what serves, the `keep_previous` versions that
served before it, versions with labels, those of the route, and what an operator put on standby. A
version beyond that is taken out of traffic, but never the last one that answers.
"""

from collections.abc import Collection, Sequence

import msgspec

from fastserve.model_config import VersionsConfig


class Wanted(msgspec.Struct, frozen=True):
    """What the policy asks for: versions to have, and the one to serve (0: there is none)."""

    versions: tuple[int, ...]
    serving: int


def choose_versions(
    available: Collection[int],
    config: VersionsConfig,
    *,
    pinned: int = 0,
    routed: Collection[int] = (),
) -> Wanted:
    """The versions to load of those that are there, ascending; the highest of them serves.

    `pinned`: an operator's choice of what serves; it counts as long as it is there. `routed`: those
    that the model's route needs; they are loaded as well.
    """
    numbers = sorted(available)
    if config.all:
        chosen = numbers
    elif config.specific:
        chosen = [number for number in numbers if number in config.specific]
    else:
        chosen = numbers[-(config.latest or 1) :]
    serving = chosen[-1] if chosen else 0
    if pinned in available:
        serving = pinned
        if not config.all and not config.specific:
            chosen = [number for number in numbers if number <= pinned][-(config.latest or 1) :]
    needed = {*chosen, *(number for number in routed if number in available)}
    return Wanted(tuple(sorted(needed)), serving)


def choose_kept(
    wanted: Wanted,
    *,
    served: Sequence[int],
    keep_previous: int,
    standby: Collection[int],
    labelled: Collection[int],
) -> frozenset[int]:
    """The versions that stay loaded, if they are. `served`: numbers, the latest last."""
    kept = {*wanted.versions, wanted.serving, *standby, *labelled}
    previous = dict.fromkeys(number for number in reversed(served) if number not in kept)
    return frozenset(kept | set(list(previous)[:keep_previous]))


def describe_policy(config: VersionsConfig) -> str:
    """In words, for people."""
    if config.all:
        what = "all versions"
    elif config.specific:
        what = "versions " + ", ".join(map(str, config.specific))
    elif (config.latest or 1) == 1:
        what = "the newest version"
    else:
        what = f"the newest {config.latest} versions"
    if config.keep_previous == 0:
        return what
    plural = "" if config.keep_previous == 1 else "s"
    return f"{what}, and {config.keep_previous} version{plural} that served before"
