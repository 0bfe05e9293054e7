"""The page's lines are those that prometheus_client would write, whatever the names and values."""

import re

import pytest
from hypothesis import given, settings, strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Exemplar

from fastserve._core import core
from fastserve.metric_source import LONGEST_LABEL, MetricFamily
from fastserve.observe.metrics_histogram import HistogramText, MeasuredStats
from fastserve.observe.metrics_text import (
    Format,
    LabelledFamily,
    accepts_gzip,
    all_label_pairs,
    label_pairs,
    label_value,
    negotiate,
    write,
)

PHASES = ("queue", "gather", "compute", "reply", "total")
# What may stand on a page as it is; the rest is replaced before anybody writes it.
clean = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=LONGEST_LABEL
)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
values = (
    st.floats(allow_nan=True, allow_infinity=True)
    | st.integers(0, 1 << 62)
    | st.sampled_from([0.0, -0.0, 999_999.0, 1e6, 1e6 + 0.5, 1e16, 1e-7, 123456789.125])
)


class Collected:
    def __init__(self, family):
        self.family = family

    def describe(self):
        return []

    def collect(self):
        return [self.family]


def by_prometheus_client(family, form):
    registry = CollectorRegistry()
    registry.register(Collected(family))
    if form is Format.TEXT:
        return generate_latest(registry)
    return openmetrics.generate_latest(registry).removesuffix(b"# EOF\n")


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("kind", ["gauge", "counter"])
@settings(max_examples=150, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    labels=st.lists(names, max_size=4, unique=True),
    data=st.data(),
)
def test_family_is_written_byte_by_byte_as_by_prometheus_client(form, kind, text, labels, data):
    rows = data.draw(
        st.lists(st.tuples(st.lists(clean, min_size=len(labels), max_size=len(labels)), values))
    )
    theirs = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}[kind](
        "fastserve_x", text, labels=labels
    )
    for row, value in rows:
        theirs.add_metric(row, value)
    ours = MetricFamily(
        "fastserve_x_total" if kind == "counter" else "fastserve_x",
        text,
        kind,
        [(dict(zip(labels, row, strict=True)), value) for row, value in rows],
    )
    assert write([ours], form).encode() == by_prometheus_client(theirs, form)


def measured(model, counts, sum_ns, exemplars=()):
    return MeasuredStats(
        model,
        "3",
        core.VersionStats(
            **dict.fromkeys(core.VersionStats._fields, 0)
            | {"phases": dict.fromkeys(PHASES, (counts, sum_ns))}
        ),
        exemplars,
    )


def histogram_by_prometheus_client(versions, form, exemplar_times=None):
    theirs = HistogramMetricFamily("fastserve_x_seconds", 'a "help"\n', labels=["model", "version"])
    bounds = [*(str(float(format(b, ".6g"))) for b in core.BUCKET_BOUNDS_SECONDS), "+Inf"]
    for one in versions:
        counts, sum_ns = one.stats.phases["total"]
        buckets, so_far = [], 0
        for i, bound in enumerate(bounds):
            so_far += counts[i]
            found = [
                Exemplar({"request_id": e.request_id}, e.total_ns / 1e9, exemplar_times[i])
                for e in one.exemplars
                if e.bucket == i and form is Format.OPENMETRICS
            ]
            buckets.append((bound, float(so_far), *found))
        theirs.add_metric([one.model, one.version], buckets, sum_ns / 1e9)
    return by_prometheus_client(theirs, form)


counts_of_buckets = st.lists(
    st.integers(0, 1 << 50),
    min_size=len(core.BUCKET_BOUNDS_SECONDS) + 1,
    max_size=len(core.BUCKET_BOUNDS_SECONDS) + 1,
)


@pytest.mark.parametrize("form", Format)
@settings(max_examples=100, deadline=None)
@given(
    pages=st.lists(
        st.dictionaries(clean, st.tuples(counts_of_buckets, st.integers(0, 1 << 62)), max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_histogram_is_written_as_by_prometheus_client_page_after_page(form, pages):
    ours = HistogramText("fastserve_x_seconds", 'a "help"\n', "total")
    for page in pages:
        versions = [measured(model, *moved) for model, moved in page.items()]
        # Twice: what stood still comes out of the cache.
        for _ in range(2):
            written = "".join(ours.lines(versions, form)).encode()
            assert written == histogram_by_prometheus_client(versions, form)


def exemplar(bucket, request_id, total_ns=1_500_000, age_ns=0):
    return core.Exemplar(bucket, total_ns, age_ns, request_id)


def test_exemplar_is_written_as_by_prometheus_client_and_in_openmetrics_only():
    one = measured("m", [1] * 21, 5_000_000_000, [exemplar(9, 'a"b\\c\nd'), exemplar(20, "é" * 59)])
    ours = HistogramText("fastserve_x_seconds", 'a "help"\n', "total")
    assert "request_id" not in "".join(ours.lines([one], Format.TEXT))
    written = "".join(ours.lines([one], Format.OPENMETRICS))
    times = re.findall(r'le="([^"]+)".* # .* ([0-9.]+)\n', written)
    assert [bound for bound, _ in times] == ["0.0025", "+Inf"]
    expected = histogram_by_prometheus_client(
        [one], Format.OPENMETRICS, {9: float(times[0][1]), 20: float(times[1][1])}
    )
    assert written.encode() == expected


def test_exemplar_is_read_back_by_a_parser_of_openmetrics():
    ours = HistogramText("fastserve_x_seconds", "help", "total")
    one = measured("m", [1] * 21, 5_000_000_000, [exemplar(9, "é" * 59)])
    (family,) = parse_openmetrics(f"{''.join(ours.lines([one], Format.OPENMETRICS))}# EOF\n")
    (read,) = (s.exemplar for s in family.samples if s.labels.get("le") == "0.0025")
    assert read.labels == {"request_id": "é" * 59}
    assert read.value == 0.0015


def test_exemplar_keeps_its_time_until_another_takes_its_place():
    ours = HistogramText("fastserve_x_seconds", "help", "total")

    def time_of(one):
        written = "".join(ours.lines([one], Format.OPENMETRICS))
        return re.search(r" # .* ([0-9.]+)\n", written)[1]

    first = time_of(measured("m", [1] * 21, 1, [exemplar(3, "a", age_ns=10**9)]))
    # As the clocks have it a little later; it is the same request.
    assert time_of(measured("m", [2] * 21, 2, [exemplar(3, "a", age_ns=3 * 10**9)])) == first
    assert time_of(measured("m", [3] * 21, 3, [exemplar(3, "b", age_ns=5 * 10**9)])) != first


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(max_size=3), max_size=3)))
def test_labels_of_many_samples_are_written_as_those_of_each(labels):
    assert all_label_pairs(labels) == [label_pairs(each) for each in labels]


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3))))
def test_labels_of_the_same_names_are_written_as_those_of_each(values):
    labels = [{"b": first, "a": second} for first, second in values]
    assert all_label_pairs(labels) == [label_pairs(each) for each in labels]


def test_histogram_forgets_versions_that_are_gone():
    ours = HistogramText("fastserve_x_seconds", "help", "total")
    for round_ in range(50):
        for form in Format:
            list(ours.lines([measured(f"m{round_}", [1] * 21, 1)], form))
    assert len(ours._templates) <= 2
    assert len(ours._written) == 2


HOSTILE = {
    "newline": "a\nfastserve_ready 0\n# HELP x",
    "quotes": '"} 1\nx{y="',
    "backslashes": "\\\\n\\",
    "control": "a\x00b\x1b[2J\x7f",
    "carriage return": "a\r\nb",
    "megabyte": "x" * (1 << 20),
    "megabyte that ends otherwise": "x" * (1 << 20) + "y",
    "surrogate": "broken-\udcff-name",
    "right to left": "\u202emodel",
    "percent": "%s%(x)s%%",
}


@pytest.mark.parametrize("form", Format)
def test_hostile_label_value_stays_one_bounded_value(form):
    family = MetricFamily(
        "fastserve_x", "help", "gauge", [({"model": v}, i) for i, v in enumerate(HOSTILE.values())]
    )
    labelled = LabelledFamily(family)
    labelled.check()
    text = labelled.text(form)
    histogram = HistogramText("fastserve_y_seconds", "help", "queue")
    text += "".join(histogram.lines([measured(v, [1] * 21, 1) for v in HOSTILE.values()], form))
    text.encode()
    assert len(text) < 100_000
    parse = parse_text if form is Format.TEXT else parse_openmetrics
    families = list(parse(text + ("# EOF\n" if form is Format.OPENMETRICS else "")))
    assert [family.name for family in families] == ["fastserve_x", "fastserve_y_seconds"]
    found = {sample.labels["model"] for sample in families[0].samples}
    assert len(found) == len(HOSTILE)
    assert all(len(value) <= LONGEST_LABEL for value in found)
    assert not [c for value in found for c in value if c != "\n" and ord(c) < 32]


def test_long_values_that_differ_stay_apart():
    assert label_value("x" * 500 + "a") != label_value("x" * 500 + "b")
    assert len(label_value("x" * 500)) == LONGEST_LABEL
    assert label_value("x" * LONGEST_LABEL) == "x" * LONGEST_LABEL


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (MetricFamily("other_x", "h", "gauge", []), "fastserve_x_y"),
        (MetricFamily("fastserve_x\n", "h", "gauge", []), "fastserve_x_y"),
        (MetricFamily("fastserve_x", "h", "counter", []), "_total"),
        (MetricFamily("fastserve_x_total", "h", "gauge", []), "_total"),
        (MetricFamily("fastserve_x", "h", "gauge", [({"a": "1"}, 1), ({"a": "1"}, 2)]), "a="),
        (MetricFamily("fastserve_x", "h", "gauge", [({'a"': "1"}, 1)]), 'a"'),
    ],
)
def test_source_that_breaks_a_rule_is_refused_by_name(family, expected):
    with pytest.raises(ValueError, match=re.escape(expected)):
        LabelledFamily(family).check()


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.75,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.25,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", Format.TEXT),
        ("application/openmetrics-text;version=x", Format.TEXT),
        ("application/openmetrics-text;q=0", Format.TEXT),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.5", Format.TEXT),
        ("text/plain;q=0.5,application/openmetrics-text;q=0.5", Format.OPENMETRICS),
        ("text/html,*/*;q=0.8", Format.TEXT),
        (";;;,,,===q=;version", Format.TEXT),
        ("," * 100_000 + "application/openmetrics-text", Format.TEXT),
    ],
)
def test_format_is_the_one_that_the_header_ranks_highest(accept, expected):
    assert negotiate(accept) is expected


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=255)))
def test_no_header_makes_the_choice_fail(header):
    negotiate(header)
    accepts_gzip(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, deflate", False),
    ],
)
def test_gzip_is_used_only_where_it_is_accepted(header, expected):
    assert accepts_gzip(header) is expected
