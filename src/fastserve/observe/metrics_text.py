"""The lines of the metrics page, and what a scraper may ask for.

prometheus_client needs 8 to 14 us for a line: for 100 models with five histograms and 18,000 drift
scores 290 ms in one format, 400 ms in the other. This writes the same bytes in a tenth of that, and
tests/observe/test_metrics_text.py holds it to prometheus_client's output byte by byte.
"""

import enum
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from prometheus_client.utils import floatToGoString

from fastserve.metric_source import LONGEST_LABEL, MetricFamily

# Of an `Accept` header; nobody needs more.
_MOST_RANGES: Final = 32
_HASH_BYTES: Final = 8
# Control characters but the newline, which is escaped, and what is no character at all.
_UNFIT: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# From here on Go, and so prometheus_client, writes an exponent.
_GO_EXPONENT: Final = 1e6
_NAME: Final = re.compile(r"fastserve_[a-z0-9_]+")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]*")
_QUALITY: Final = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


class Format(enum.Enum):
    """An exposition format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def negotiate(accept: str) -> Format:
    """The format that the `Accept` header ranks highest; plain text when it names none of ours."""
    best, best_quality = Format.TEXT, 0.0
    for media, parameters, quality in _ranges(accept):
        if media == "application/openmetrics-text":
            asked = next((p[8:] for p in parameters if p.startswith("version=")), "1.0.0")
            # Of two that are ranked alike the richer.
            if asked == "1.0.0" and quality >= best_quality and quality > 0:
                best, best_quality = Format.OPENMETRICS, quality
        elif media in ("text/plain", "text/*", "*/*") and quality > best_quality:
            best, best_quality = Format.TEXT, quality
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    return any(
        coding in ("gzip", "*") and quality > 0 for coding, _, quality in _ranges(accept_encoding)
    )


def _ranges(header: str) -> Iterator[tuple[str, list[str], float]]:
    """(name, parameters, quality) of each entry."""
    for entry in header.lower().split(",", _MOST_RANGES)[:_MOST_RANGES]:
        name, *parameters = (part.strip() for part in entry.split(";"))
        found = (_QUALITY.fullmatch(parameter) for parameter in parameters)
        yield name, parameters, next((float(match[1]) for match in found if match), 1.0)


def number(value: float) -> str:
    """As Go writes a float."""
    value = float(value)
    if -_GO_EXPONENT < value < _GO_EXPONENT:
        return repr(value)
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def numbers(values: Iterable[float]) -> list[str]:
    """`number` of each, without a call for each."""
    return [
        repr(value) if -_GO_EXPONENT < value < _GO_EXPONENT else number(value)
        for value in map(float, values)
    ]


def escaped(text: str) -> str:
    """For between quotes; what cannot stand on a page is replaced."""
    if _UNFIT.search(text):
        text = _UNFIT.sub("\ufffd", text)
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def label_value(text: str) -> str:
    """`text` as it stands on the page: bounded, escaped, and as distinct as it was."""
    # A cache of values that may be long would be as large as they are.
    return _short_value(text) if len(text) <= LONGEST_LABEL else escaped(_cut(text))


@lru_cache(maxsize=8192)
def _short_value(text: str) -> str:
    return escaped(_cut(text) if _UNFIT.search(text) else text)


def _cut(text: str) -> str:
    """Its beginning and a hash of the whole: values that differ anywhere stay apart."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES)
    return f"{text[: LONGEST_LABEL - 2 * _HASH_BYTES - 1]}~{digest.hexdigest()}"


def label_pairs(labels: Mapping[str, str]) -> str:
    """`a="x",b="y"`, by name."""
    names, template = _pairs_template(tuple(labels))
    return template % tuple([label_value(labels[name]) for name in names])


def all_label_pairs(labels: Sequence[Mapping[str, str]]) -> list[str]:
    """`label_pairs` of each: by columns where all have the same names, as those of a family do."""
    names, template = _pairs_template(tuple(labels[0]) if labels else ())
    if not names or set(map(len, labels)) != {len(names)}:
        return [label_pairs(each) for each in labels]
    columns = []
    try:
        for name in names:
            column = [each[name] for each in labels]
            written = {value: label_value(value) for value in set(column)}
            columns.append(map(written.__getitem__, column))
    except KeyError:
        return [label_pairs(each) for each in labels]
    return [template % row for row in zip(*columns, strict=True)]


@lru_cache(maxsize=256)
def _pairs_template(names: tuple[str, ...]) -> tuple[list[str], str]:
    if not all(map(_LABEL.fullmatch, names)):
        raise ValueError(f"label names {', '.join(names)}: expected small letters, digits and _")
    ordered = sorted(names)
    return ordered, ",".join([f'{name}="%s"' for name in ordered])


def head(name: str, text: str, kind: str, form: Format) -> str:
    """HELP and TYPE. A counter without `_total`, as Triton's are, is none to OpenMetrics."""
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    if form is Format.OPENMETRICS:
        text = text.replace('"', r"\"")
        if kind == "counter":
            kind = "counter" if name.endswith("_total") else "unknown"
            name = name.removesuffix("_total")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def write(families: Iterable[MetricFamily], form: Format) -> str:
    """Heads and samples. Errors: ValueError for a label's name."""
    return "".join([LabelledFamily(family).text(form) for family in families])


class LabelledFamily:
    """A family whose labels are written once for all formats, and its text once for each.

    `before`: the same family at an earlier scrape; labels that stayed in their place are taken
    from it.
    """

    def __init__(self, family: MetricFamily, before: "LabelledFamily | None" = None) -> None:
        self.family = family
        self._texts: dict[Format, str] = {}
        samples = family.samples
        if before is None or len(before.family.samples) != len(samples):
            self.pairs = all_label_pairs([labels for labels, _ in samples])
        else:
            self.pairs = [
                pairs if labels == old else label_pairs(labels)
                for (labels, _), (old, _), pairs in zip(
                    samples, before.family.samples, before.pairs, strict=True
                )
            ]

    def text(self, form: Format) -> str:
        text = self._texts.get(form)
        if text is None:
            text = self._texts[form] = "".join(self._lines(form))
        return text

    def _lines(self, form: Format) -> list[str]:
        family = self.family
        name = family.name
        values = numbers([value for _, value in family.samples])
        lines = [
            f"{name}{{{pairs}}} {value}\n" if pairs else f"{name} {value}\n"
            for pairs, value in zip(self.pairs, values, strict=True)
        ]
        return [head(name, family.help, family.type, form), *lines]

    def check(self) -> None:
        """What a source must keep to. Errors: ValueError that says what is wrong."""
        name = self.family.name
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: expected a name of the form fastserve_x_y")
        if name.endswith("_total") != (self.family.type == "counter"):
            raise ValueError(f"{name}: a counter, and nothing else, ends in _total")
        if len(set(self.pairs)) < len(self.pairs):
            twice = next(pairs for pairs, count in Counter(self.pairs).items() if count > 1)
            raise ValueError(f"{name}: two samples have the labels {twice or 'of none'}")
