"""Do two versions take and give the same? What clients written for one need of the other."""

from collections.abc import Iterable

from fastserve._core import core


def describe_difference(
    before: tuple[Iterable[core.TensorSpec], Iterable[core.TensorSpec]],
    after: tuple[Iterable[core.TensorSpec], Iterable[core.TensorSpec]],
) -> str:
    """What changed in names, datatypes and ranks of (inputs, outputs), in words; empty: nothing.

    Sizes of axes may differ: a request that no longer fits is refused with both shapes.
    """
    found: list[str] = []
    for kind, old, new in (("input", before[0], after[0]), ("output", before[1], after[1])):
        olds = {spec.name: spec for spec in old}
        news = {spec.name: spec for spec in new}
        found += [f"{kind} '{name}' is gone" for name in olds if name not in news]
        found += [f"{kind} '{name}' is new" for name in news if name not in olds]
        for name in olds.keys() & news.keys():
            was, now = olds[name], news[name]
            if was.datatype != now.datatype:
                found.append(f"{kind} '{name}' was {was.datatype} and is {now.datatype}")
            if len(was.shape) != len(now.shape):
                found.append(f"{kind} '{name}' had {len(was.shape)} axes and has {len(now.shape)}")
    return "; ".join(sorted(found))
