"""docs/metrics.md is true of a real server, and rules and dashboard read nothing else."""

import json
import re
import sys
import urllib.request
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

import metric_table

from fastserve.observe.alert_rules import Thresholds, alert_rules
from fastserve.observe.dashboard import dashboard

EXPRESSIONS = {rule.alert: rule.expr for rule in alert_rules(Thresholds())}


@pytest.fixture(scope="module")
def page(tmp_path_factory, demo_models):
    """The text of a real server's page with everything that can be switched on."""
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.conftest import ServerProcess

    state = tmp_path_factory.mktemp("state")
    server = ServerProcess(
        demo_models.repository, "--triton-metrics", "--state-dir", str(state / "s")
    )
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    server.stop()
    return text


def families(page):
    """By name: (type, label names)."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE))
    labels = {name: set() for name in kinds}
    for name, pairs in re.findall(r"^(\w+?)(?:\{(.*)\})? \S+$", page, re.MULTILINE):
        family = re.sub(r"_(bucket|count|sum)$", "", name)
        family = family if kinds.get(family) == "histogram" else name
        labels[family] |= set(re.findall(r'(\w+)="', pairs)) - {"le"}
    return {name: (kind, frozenset(labels[name])) for name, kind in kinds.items()}


def test_page_of_a_real_server_has_exactly_what_the_document_lists(page):
    optional = metric_table.rows(metric_table.OPTIONAL)
    documented = {
        name: (row.type, row.labels)
        for name, row in metric_table.rows().items()
        if name not in optional
    }
    found = families(page)
    # Their labels show once there is a source.
    for name in ("fastserve_metrics_source_errors_total", "fastserve_metrics_left_out_samples"):
        found[name] = documented[name]
    assert {name: family for name, family in found.items() if name not in optional} == documented
    for name in found.keys() & optional.keys():
        kind, labels = found[name]
        assert kind == optional[name].type, name
        assert labels in (frozenset(), optional[name].labels), name


def test_document_has_every_name_that_the_code_has():
    sources = Path(__file__).parents[2] / "src" / "fastserve"
    named = {
        name
        for path in sources.rglob("*.py")
        for name in re.findall(r'"(fastserve_[a-z0-9_]+)"', path.read_text())
    }
    assert len(named) > 50
    assert named <= metric_table.rows().keys()


def test_document_says_what_each_metric_means():
    assert len(metric_table.rows()) > 60
    assert all(len(row.meaning) > 3 for row in metric_table.rows().values())


def test_counters_and_units_are_named_as_prometheus_asks():
    for name, row in metric_table.rows().items():
        if name.startswith("fastserve_"):
            assert name.endswith("_total") == (row.type == "counter"), name
            assert not re.search(r"_(ms|us|ns|kb|mb|percent)(_|$)", name), name


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_alert_reads_only_documented_metrics(alert):
    read = metric_table.names_in(EXPRESSIONS[alert])
    assert read or alert == "FastserveDown"
    assert read <= metric_table.rows().keys()


def expressions(board):
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    yield from (each["expr"] for each in board["annotations"]["list"])
    yield from (each["definition"] for each in board["templating"]["list"] if "definition" in each)


def test_dashboard_reads_only_documented_metrics_and_most_of_them():
    read = set().union(*map(metric_table.names_in, expressions(dashboard())))
    ours = {name for name in metric_table.rows() if name.startswith("fastserve_")}
    assert read <= metric_table.rows().keys()
    assert len(read & ours) > 0.5 * len(ours)


def test_labels_in_expressions_are_those_of_the_metric():
    for expression in [*EXPRESSIONS.values(), *expressions(dashboard())]:
        for name, pairs in re.findall(r"\b((?:fastserve|process)_\w+)\{([^}]*)\}", expression):
            (metric,) = metric_table.names_in(name)
            used = set(re.findall(r"(\w+)(?:=|!)", pairs)) - {"job", "instance"}
            assert used <= metric_table.rows()[metric].labels, expression


def test_document_names_every_alert_and_every_option():
    named = set(re.findall(r"^\| `(Fastserve\w+)` \|", metric_table.PAGE, re.MULTILINE))
    assert named == set(EXPRESSIONS)
    for field in Thresholds.__struct_fields__:
        assert f"`--{field.replace('_', '-')}`" in metric_table.PAGE


def test_dashboard_is_json_with_one_place_for_each_panel():
    board = json.loads(json.dumps(dashboard()))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in panels
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == [
        "Traffic",
        "Latency by phase",
        "Batching",
        "Failures",
        "Lifecycle",
        "Drift",
        "Quality",
        "Capture and events",
        "Process",
    ]
