"""Each alert fires on the series it is for and stays silent on healthy ones."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from prometheus import promtool

from fastserve.observe.alert_rules import Thresholds, alert_rules, to_yaml

RULES = {rule.alert: rule for rule in alert_rules(Thresholds())}
SERVER = 'job="fastserve",instance="a"'
OF = f'{SERVER},model="m",version="1"'


def counter(name, labels, start, step):
    return f"{name}{{{labels}}}", f"{start}+{step}x500"


def gauge(name, labels, value):
    return f"{name}{{{labels}}}", f"{value}x500"


def traffic(failures, reason="execution"):
    """A hundred requests a minute, and so many of `reason`."""
    return [
        counter("fastserve_requests_total", OF, 0, 100),
        counter("fastserve_failures_total", f'{OF},reason="{reason}"', 0, failures),
    ]


def latency(le):
    """All requests within the bucket `le`."""
    bounds = ("0.001", "0.05", "0.1", "0.25", "+Inf")
    return [
        counter(
            "fastserve_request_seconds_bucket",
            f'{OF},le="{bound}"',
            0,
            100 if bounds.index(bound) >= bounds.index(le) else 0,
        )
        for bound in bounds
    ]


def sketched(rows, skipped):
    return [
        counter("fastserve_sketch_rows_total", OF, 0, rows),
        counter("fastserve_sketch_skipped_rows_total", OF, 0, skipped),
    ]


def queue(rows, limit=100):
    return [gauge("fastserve_queue_rows", OF, rows), gauge("fastserve_queue_limit_rows", OF, limit)]


CONTRACT = f'{OF},feature="x",rule="range"'
QUALITY = f'{OF},segment="all",measure="auc"'
FAILED = f'{SERVER},model="m",state="FAILED"'
# Alert -> (series that make it fire, series that must not); a minute between samples.
CASES = {
    "FastserveDown": ([gauge("up", SERVER, 0)], [gauge("up", SERVER, 1)]),
    "FastserveNotReady": (
        [gauge("fastserve_ready", SERVER, 0)],
        [gauge("fastserve_ready", SERVER, 1)],
    ),
    "FastserveErrorBudgetBurnsFast": (traffic(5), traffic(50, "invalid")),
    "FastserveErrorBudgetBurnsSlow": (traffic(1), traffic(50, "cancelled")),
    "FastserveQueueSaturated": (queue(90), queue(50)),
    "FastserveLatencyBudget": (latency("0.25"), latency("0.05")),
    "FastserveVersionFailed": (
        [(f"fastserve_version_state_changes_total{{{FAILED}}}", "0x394 1x100")],
        [gauge("fastserve_version_state_changes_total", FAILED, 3)],
    ),
    "FastserveVersionNotReady": (
        [gauge("fastserve_model_ready", OF, 0)],
        [gauge("fastserve_model_ready", OF, 1)],
    ),
    "FastserveDrift": (
        [gauge("fastserve_drift_alarm", f'{OF},feature="x"', 1)],
        [gauge("fastserve_drift_alarm", f'{OF},feature="x"', 0)],
    ),
    "FastserveQualityDrop": (
        [(f"fastserve_quality{{{QUALITY}}}", "0.95x370 0.7x100")],
        [(f"fastserve_quality{{{QUALITY}}}", "0.95x370 0.93x100")],
    ),
    "FastserveConceptDrift": (
        [gauge("fastserve_concept_drift_alarm", f'{OF},detector="adwin"', 1)],
        [gauge("fastserve_concept_drift_alarm", f'{OF},detector="adwin"', 0)],
    ),
    "FastserveContractViolations": (
        [counter("fastserve_contract_violations_total", CONTRACT, 0, 3)],
        [counter("fastserve_contract_violations_total", CONTRACT, 0, 0.5)],
    ),
    "FastserveSketchRowsSkipped": (sketched(100, 50), sketched(100, 1)),
    "FastserveCaptureFails": (
        [counter("fastserve_capture_requests_total", f'{SERVER},outcome="failed"', 0, 1)],
        [counter("fastserve_capture_requests_total", f'{SERVER},outcome="captured"', 0, 1)],
    ),
    "FastserveAuditWriteErrors": (
        [counter("fastserve_audit_write_errors_total", SERVER, 0, 1)],
        [gauge("fastserve_audit_write_errors_total", SERVER, 4)],
    ),
    "FastserveWebhooksFail": (
        [counter("fastserve_webhook_deliveries_total", f'{SERVER},outcome="failed"', 0, 1)],
        [counter("fastserve_webhook_deliveries_total", f'{SERVER},outcome="delivered"', 0, 1)],
    ),
    "FastserveMetricsIncomplete": (
        [counter("fastserve_metrics_source_errors_total", f'{SERVER},source="drift"', 0, 1)],
        [gauge("fastserve_metrics_source_errors_total", f'{SERVER},source="drift"', 0)],
    ),
}
AT = "400m"  # more than six hours of series, for the slow windows


def case(series, **firing):
    """promtool's test that so many of each alert fire."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                "eval_time": AT,
                "exp_samples": [{"labels": "{}", "value": count}] if count else [],
            }
            for alert, count in firing.items()
        ],
    }


def run(folder, rules, *tests):
    """promtool's verdict on `tests` of these rules."""
    (folder / "rules.yml").write_text(to_yaml(rules))
    file = folder / "tests.yml"
    file.write_text(json.dumps({"rule_files": ["rules.yml"], "tests": tests}))
    return promtool("test", "rules", file)


def test_every_alert_has_series_that_make_it_fire():
    assert CASES.keys() == RULES.keys()


def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(to_yaml(list(RULES.values())))
    code, said = promtool("check", "rules", file)
    assert code == 0, said
    assert f"SUCCESS: {len(CASES)} rules found" in said


@pytest.mark.parametrize("alert", CASES)
def test_alert_fires_for_what_it_is_for_and_not_otherwise(tmp_path, alert):
    fires, silent = CASES[alert]
    tests = case(fires, **{alert: 1}), case(silent, **{alert: 0})
    code, said = run(tmp_path, [RULES[alert]], *tests)
    assert code == 0, said


def test_promtool_would_notice_an_alert_that_does_not_fire(tmp_path):
    fires, silent = CASES["FastserveNotReady"]
    rules = [RULES["FastserveNotReady"]]
    assert run(tmp_path, rules, case(fires, FastserveNotReady=0))[0] == 1
    assert run(tmp_path, rules, case(silent, FastserveNotReady=1))[0] == 1


def test_refusals_alone_saturate_a_queue(tmp_path):
    series = traffic(1, "queue_full")
    rules = [RULES["FastserveQueueSaturated"]]
    code, said = run(tmp_path, rules, case(series, FastserveQueueSaturated=1))
    assert code == 0, said


def test_no_alert_fires_while_nothing_is_asked(tmp_path):
    series = traffic(0) + queue(0) + sketched(0, 0)
    code, said = run(tmp_path, list(RULES.values()), case(series, **dict.fromkeys(CASES, 0)))
    assert code == 0, said


def test_thresholds_move_the_alert(tmp_path):
    limits = Thresholds(latency_seconds=0.5, latency_quantile=0.5, job='a "b"\n')
    rules = [
        r for r in alert_rules(limits) if r.alert in ("FastserveLatencyBudget", "FastserveDown")
    ]
    code, said = run(tmp_path, rules, case(latency("0.25"), FastserveLatencyBudget=0))
    assert code == 0, said


def test_runbooks_say_what_to_do():
    for rule in alert_rules(Thresholds()):
        assert len(rule.runbook) > 60
        assert rule.severity in ("critical", "warning")
        assert rule.summary[0] in "{ABCDEFGHIJKLMNOPQRSTUVWXYZ"
