"""What docs/metrics.md says of each metric."""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
# Their parts are switched on apart.
OPTIONAL = "Drift, quality, capture, events"


class Row(NamedTuple):
    type: str
    labels: frozenset
    meaning: str


def rows(section=None):
    """By name; of one section, or of all."""
    found = {}
    for title, text in re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE):
        if section is None or title == section:
            for line in re.findall(
                r"^\|( `\w+` \| (?:gauge|counter|histogram) .*)\|$", text, re.MULTILINE
            ):
                name, kind, labels, _, meaning = (cell.strip() for cell in line.split("|"))
                names = frozenset(filter(None, labels.split(", ")))
                assert name.strip("`") not in found, f"{name} comes twice"
                found[name.strip("`")] = Row(kind, names, meaning)
    return found


def names_in(expression):
    """The metrics that a PromQL expression reads."""
    suffixes = ("_bucket", "_count", "_sum")
    found = set(re.findall(r"\b(?:fastserve|nv|process|python)_\w+", expression))
    histograms = {name for name, row in rows().items() if row.type == "histogram"}
    return {
        next((name[: -len(s)] for s in suffixes if name.removesuffix(s) in histograms), name)
        for name in found
    }
