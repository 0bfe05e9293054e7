"""The page over sources: written once for a stamp, shared by scrapers, whole when one fails."""

import asyncio
import gzip
import threading
import time

import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fastserve._core import core
from fastserve.metric_source import MOST_SAMPLES, MetricFamily
from fastserve.observe.metrics import MetricsPage
from fastserve.observe.metrics_text import Format

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PHASES = ("queue", "gather", "compute", "reply", "total")
SCORES = ("psi", "js", "ks", "wasserstein", "cramers_v", "missing_change")


class Version:
    """A version that counts when it is told to."""

    def __init__(self, model, number=1):
        self.model = model
        self.number = number
        self.max_rows = 64
        self.max_queue_rows = 0
        self.file_bytes = 10_000
        self.memory_bytes = 20_000
        self.load_seconds = 0.25
        self.version = self
        self.counts = [0] * 21
        self.reads = 0
        self.readers = set()

    def stats(self):
        self.reads += 1
        self.readers.add(threading.get_ident())
        zero = dict.fromkeys(core.VersionStats._fields, 0)
        return core.VersionStats(
            **zero
            | {
                "failures": {"invalid": 1, "queue_full": 2, "overloaded": 4, "expired": 8}
                | {"cancelled": 16, "execution": 32, "draining": 64},
                "releases": {"idle": 1},
                "phases": {phase: (list(self.counts), 1_500_000_000) for phase in PHASES},
            }
        )

    def exemplars(self):
        return [core.Exemplar(4, 200_000, 0, "request-4")]


class Source:
    def __init__(self, *families):
        self.stamp = 0
        self.given = families
        self.asked = 0

    def families(self):
        self.asked += 1
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


class Figures:
    max_queue_rows = 1000

    def __init__(self, versions=(), **sources):
        self.loaded = list(versions)
        self.sources = sources

    def versions(self):
        return self.loaded

    def states(self):
        return [(one.model, str(one.number), True, True) for one in self.loaded]

    def state_changes(self):
        return {(one.model, "READY"): 1 for one in self.loaded}

    def gauges(self):
        return {"fastserve_ready": ("1 when ready for traffic", 1.0)}

    def counters(self):
        return {}

    def audit_head(self):
        return (3, "abc")


@pytest.fixture
def make_page():
    pages = []

    def make(figures, **options):
        pages.append(MetricsPage(figures, "1.2.3", **options))
        return pages[-1]

    yield make
    for page in pages:
        page.close()


def gauge(name, value, **labels):
    return MetricFamily(name, "help", "gauge", [(labels, value)])


def samples(text, parse=parse_text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


async def scrape(page, accept="", encoding=""):
    return (await page.answer(accept, encoding)).body.decode()


async def test_page_parses_in_both_formats_and_says_the_same(make_page):
    page = make_page(Figures([Version("m")], drift=Source(gauge("fastserve_x", 0.5, model="m"))))
    text = samples(await scrape(page))
    openmetrics = samples(await scrape(page, OPENMETRICS), parse_openmetrics)
    moving = {name for name in text if name[0].startswith(("process_", "python_"))}
    assert text.keys() == openmetrics.keys()
    assert {k: v for k, v in text.items() if k not in moving} == {
        k: v for k, v in openmetrics.items() if k not in moving
    }
    assert text["fastserve_x", ("model", "m")] == 0.5
    assert text["fastserve_queue_limit_rows", ("model", "m"), ("version", "1")] == 1000


async def test_headers_name_the_format_and_the_compression(make_page):
    page = make_page(Figures())
    plain = await page.answer("", "")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "content-encoding" not in plain.headers
    packed = await page.answer(OPENMETRICS, "gzip")
    assert packed.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body).endswith(b"# EOF\n")


async def test_source_is_asked_again_only_when_its_stamp_changed(make_page):
    source = Source(gauge("fastserve_x", 1))
    page = make_page(Figures(drift=source))
    for _ in range(3):
        assert samples(await scrape(page))["fastserve_x",] == 1
        assert samples(await scrape(page, OPENMETRICS), parse_openmetrics)["fastserve_x",] == 1
    assert source.asked == 1
    source.given, source.stamp = (gauge("fastserve_x", 2),), 1
    assert samples(await scrape(page))["fastserve_x",] == 2
    assert samples(await scrape(page, OPENMETRICS), parse_openmetrics)["fastserve_x",] == 2
    assert source.asked == 2


@pytest.mark.parametrize(
    "broken",
    [
        RuntimeError("no"),
        (gauge("fastserve_total", "not a number"),),
        (gauge("a name", 1),),
        (gauge("fastserve_x", 1), gauge("fastserve_x", 2)),
        (gauge("fastserve_good", 2),),
        (MetricFamily("fastserve_good_total", "help", "counter", []),),
        (MetricFamily("fastserve_x_total", "help", "counter", []), gauge("fastserve_x", 1)),
        (gauge("fastserve_ready", 2),),
        (gauge("fastserve_request_seconds", 2),),
        (gauge("fastserve_x", 1, model=7),),
        (MetricFamily("fastserve_x", "help", "gauge", iter([])),),
        None,
    ],
    ids=[
        "exception",
        "text for a value",
        "bad name",
        "one name twice",
        "another source's name",
        "another source's total",
        "total and gauge of one name",
        "the page's own gauge",
        "the page's own histogram",
        "number for a label",
        "samples without a length",
        "nothing",
    ],
)
@pytest.mark.parametrize("accept", ["", OPENMETRICS])
async def test_source_that_fails_costs_itself_its_place_and_is_counted(make_page, broken, accept):
    bad = Source()
    bad.given = broken
    page = make_page(Figures(good=Source(gauge("fastserve_good", 1)), bad=bad))
    await scrape(page, accept)
    text = await scrape(page, accept)
    found = samples(text, parse_openmetrics if accept else parse_text)
    assert found["fastserve_good",] == 1
    assert found["fastserve_ready",] == 1
    assert found["fastserve_metrics_source_errors_total", ("source", "bad")] >= 1
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(set(names)) == len(names)


async def test_source_that_failed_is_back_with_its_next_stamp(make_page):
    source = Source(gauge("a name", 1))
    page = make_page(Figures(drift=source))
    await scrape(page)
    source.given, source.stamp = (gauge("fastserve_x", 1),), 1
    assert samples(await scrape(page))["fastserve_x",] == 1


async def test_samples_above_the_bound_are_left_out_and_counted(make_page):
    many = [({"feature": str(i)}, 1) for i in range(MOST_SAMPLES + 5)]
    source = Source(
        MetricFamily("fastserve_x", "help", "gauge", many), gauge("fastserve_more", 1, a="b")
    )
    text = await scrape(make_page(Figures(drift=source)))
    assert text.count("\nfastserve_x{") == MOST_SAMPLES
    assert 'fastserve_metrics_left_out_samples{source="drift"} 6.0' in text


async def test_scrapers_that_wait_share_one_page(make_page):
    version = Version("m")
    page = make_page(Figures([version]))
    answers = await asyncio.gather(*(page.answer("", "") for _ in range(200)))
    assert version.reads <= 2
    assert {answer.content_type for answer in answers} == {Format.TEXT.value}


async def test_scraper_that_leaves_takes_the_page_from_nobody(make_page):
    page = make_page(Figures([Version("m")]))
    leaves = asyncio.create_task(page.answer("", ""))
    stays = asyncio.create_task(page.answer("", ""))
    await asyncio.sleep(0)
    leaves.cancel()
    assert b"fastserve_ready" in (await stays).body


async def test_page_is_written_beside_the_event_loop(make_page):
    version = Version("m")
    await scrape(make_page(Figures([version])))
    assert version.readers
    assert threading.get_ident() not in version.readers


async def test_triton_names_have_tritons_labels_and_meaning(make_page):
    version = Version("m")
    version.counts[9] = 2
    page = make_page(Figures([version]), is_triton=True)
    text = await scrape(page)
    # Not parsed by prometheus_client, which gives every counter a name that ends in _total.
    labels = 'model="m",version="1"'
    for reason, count in {"REJECTED": 14, "CANCELED": 16, "BACKEND": 32, "OTHER": 65}.items():
        pairs = f'model="m",reason="{reason}",version="1"'
        assert f"nv_inference_request_failure{{{pairs}}} {count}.0\n" in text
    assert f"nv_inference_queue_duration_us{{{labels}}} 1.5e+06\n" in text
    assert f"nv_model_load_duration_secs{{{labels}}} 0.25\n" in text
    histogram = "nv_inference_request_duration_histogram_us"
    assert f'{histogram}_bucket{{le="1600.0",{labels}}} 0.0\n' in text
    assert f'{histogram}_bucket{{le="2500.0",{labels}}} 2.0\n' in text
    assert f"{histogram}_sum{{{labels}}} 1.5e+06\n" in text
    assert "# TYPE nv_inference_count counter" in text
    samples(await scrape(page, OPENMETRICS), parse_openmetrics)
    assert "nv_" not in await scrape(make_page(Figures([version])))


def busy_page():
    """100 models, 30 features each with six scores, everything labelled."""
    scores = [
        ({"model": f"model{m}", "version": "1", "feature": f"x[{f}]", "score": score}, f / 7)
        for m in range(100)
        for f in range(30)
        for score in SCORES
    ]
    drift = Source(MetricFamily("fastserve_drift_score", "help", "gauge", scores))
    return Figures([Version(f"model{m}") for m in range(100)], drift=drift)


async def test_source_that_changes_a_little_is_written_as_one_that_is_new(make_page):
    source = Source()
    page = make_page(Figures(drift=source))
    for stamp, given in enumerate(
        [
            [({"feature": "a"}, 1.0), ({"feature": "b"}, 2.0)],
            [({"feature": "a"}, 1.5), ({"feature": "b"}, 2.0)],
            [({"feature": "b"}, 1.5), ({"feature": "a"}, 2.0)],
            [({"feature": "b"}, 1.5)],
            [({"feature": "b"}, 1.5), ({"feature": "c"}, float("nan"))],
            [],
        ]
    ):
        source.stamp, source.given = stamp, (MetricFamily("fastserve_x", "help", "gauge", given),)
        lines = [line for line in (await scrape(page)).splitlines() if "fastserve_x{" in line]
        fresh = make_page(Figures(drift=source))
        expected = [line for line in (await scrape(fresh)).splitlines() if "fastserve_x{" in line]
        assert lines == expected
        assert len(lines) == len(given)


@pytest.mark.parametrize("form", Format)
def test_page_of_100_models_and_3000_features_takes_less_than_50_ms(make_page, form):
    figures = busy_page()
    page = make_page(figures)
    seconds = []
    for _ in range(8):
        for version in figures.loaded:
            version.counts[7] += 1
        # Of this thread alone: others use the machine as well.
        started = time.thread_time()
        body = page.write(page.gather(), form)
        seconds.append(time.thread_time() - started)
    assert body.count(b"\n") > 30_000
    assert min(seconds[1:]) < 0.050


def test_page_keeps_no_more_memory_than_the_pages_before_it(make_page):
    figures = busy_page()
    page = make_page(figures)

    def resident():
        return psutil.Process().memory_info().rss

    def scrapes(count):
        for _ in range(count):
            figures.sources["drift"].stamp += 1
            figures.loaded[:] = [Version(f"model{time.monotonic_ns()}")] * 20
            for form in Format:
                page.write(page.gather(), form)

    scrapes(10)
    before = resident()
    scrapes(30)
    assert resident() - before < 32 << 20
