"""What a part of the server gives to the metrics page: plain data, and a stamp of its state.

Here and not beside the page, so that any part can make it without knowing the page; the page alone
knows the formats (fastserve.observe.metrics). A source keeps its families ready made and changes
`stamp` whenever it makes new ones: the page asks for the stamp at every scrape, and for the
families only when the stamp is another than last time. What it rendered then it sends again. What
moves with every request, such as a counter of rows, is best a source of its own: beside it 18,000
scores would be made anew at every scrape, on the event loop.

Rules, which the page and its tests hold every source to:

* Names begin with `fastserve_`, end in the base unit, and in `_total` for a counter.
* Labels come from what the operator has put there (models, versions, features, segments) or from
  fixed lists, never from a request. A long value is cut to `LONGEST_LABEL` characters with a hash
  of the whole at its end; a control character is replaced. Samples above `MOST_SAMPLES` of one
  source are left out and counted.
* No family twice on the page, a counter `x_total` and a gauge `x` counting as one; no label set
  twice in a family.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

LONGEST_LABEL: Final = 128
MOST_SAMPLES: Final = 100_000

MetricType = Literal["counter", "gauge"]
# Labels by name, and the value: `({"model": "credit", "version": "3"}, 0.25)`.
Sample = tuple[Mapping[str, str], float]


class MetricFamily(NamedTuple):
    """One metric with all its samples. Not changed any more once it was handed over."""

    # As it is exposed: a counter's name ends in `_total`.
    name: str
    help: str
    type: MetricType
    # May be empty: the family is then announced without a value.
    samples: Sequence[Sample]


class MetricSource(Protocol):
    """A part of the server that has something to expose. Thread: the event loop's, for both."""

    @property
    def stamp(self) -> Hashable:
        """Differs from every earlier one when `families()` would answer something else. Quick."""

    def families(self) -> Iterable[MetricFamily]:
        """All that the source exposes, in the order of the page.

        Rendered afterwards in another thread, so samples that change are new objects. An exception
        costs this source its place on the page, and is counted and logged; the rest is served.
        """
