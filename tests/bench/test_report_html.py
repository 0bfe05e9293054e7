import re
from xml.etree import ElementTree as ET

import pytest

from fastserve.bench.comparison import Comparison
from fastserve.bench.report_html import comparison_page, load_page, sweep_page
from fastserve.bench.result import Tick
from fastserve.bench.sweep import Target99, find_knee


@pytest.fixture
def pages(result_of):
    one = result_of(2.0, errors=3)
    one.ticks.extend([Tick(0.25, 100.0, 0, 1.0, 2.0), Tick(0.5, 120.0, 1, 1.0, 3.0)])
    server = {"m": {"succeeded": 2000, "queue_ms": 0.123456, "compute_infer_ms": None}}
    sweep = find_knee(lambda rate: result_of(rate / 100, rate=rate), Target99(5), first=9, last=1e4)
    stopped = Comparison([], [], is_interrupted=True)
    return {
        "load": load_page("bench <m>", one, server),
        "empty": load_page("bench", result_of(0.0, rate=0.0, failure="no <server>"), {}),
        "sweep": sweep_page("bench", sweep),
        "comparison": comparison_page("bench", ("a:1", "b<2"), Comparison([one], [one])),
        "interrupted": comparison_page("bench", ("a:1", "b:2"), stopped),
    }


def test_pages_load_nothing_and_run_nothing(pages):
    for page in pages.values():
        assert not re.search(r"<script|<link|src=|href=|url\(|@import|on\w+=", page)


def test_pages_are_well_formed_with_their_texts_escaped(pages):
    for page in pages.values():
        xml = page.replace("<!doctype html>", "").replace('<meta charset="utf-8">', "")
        ET.fromstring(xml)  # noqa: S314 - our own
    assert "bench &lt;m&gt;" in pages["load"]
    assert "no &lt;server&gt;" in pages["empty"]
    assert [name for name, page in pages.items() if "Interrupted" in page] == ["interrupted"]


def test_pages_draw_what_they_tell(pages):
    assert pages["load"].count("<polyline") == 4  # percentiles, rate, p50 and p99
    assert "0.1235" in pages["load"]
    assert pages["sweep"].count("<polyline") == 2
    assert "nan" not in "".join(pages.values())
