"""Alert rules for Prometheus over the metrics page, with what to do about each.

Ratios that burn an error budget are watched over two windows, a long one so that a blip wakes
nobody and a short one so that the alert ends soon after the trouble does (Google's SRE workbook,
chapter 5, "Alerting on SLOs").
"""

import json
from collections.abc import Iterator
from typing import Annotated, Final, NamedTuple

import msgspec

Ratio = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]

# Not counted against the server: the request was wrong, or its client took it back.
_CLIENT_REASONS: Final = "invalid|cancelled"


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts begin. The defaults suit models of milliseconds."""

    # Of the scrape job, for the alert that sees the whole process gone.
    job: str = "fastserve"
    latency_seconds: Positive = 0.1
    latency_quantile: Ratio = 0.99
    # Requests that are to be answered.
    availability: Ratio = 0.999
    queue_ratio: Ratio = 0.8
    # A drop below the average of the day before.
    quality_drop: Ratio = 0.05
    skipped_ratio: Ratio = 0.1
    contract_rows: Positive = 10
    # Measures of `fastserve_quality` for which more is better, as a regular expression.
    quality_measures: str = "accuracy|balanced_accuracy|auc|precision|recall|f1|r2"


class Rule(NamedTuple):
    """One alert. `hold`: how long its condition has to stand before it fires."""

    alert: str
    expr: str
    hold: str
    severity: str  # critical: people are hurt now; warning: look at it today
    summary: str
    runbook: str


def alert_rules(limits: Thresholds) -> list[Rule]:
    return [
        *_availability(limits),
        *_latency(limits),
        *_lifecycle(),
        *_watch(limits),
        *_records(),
    ]


def to_yaml(rules: list[Rule]) -> str:
    """A rule file. Texts are in double quotes, where YAML reads what JSON writes."""
    lines = [
        "# Written by `fastserve observe rules`. Change thresholds by its options.",
        "groups:",
        "  - name: fastserve",
        "    rules:",
    ]
    for rule in rules:
        lines += [
            f"      - alert: {rule.alert}",
            f"        expr: {json.dumps(rule.expr)}",
            f"        for: {rule.hold}",
            "        labels:",
            f"          severity: {rule.severity}",
            "        annotations:",
            f"          summary: {json.dumps(rule.summary)}",
            f"          runbook: {json.dumps(rule.runbook)}",
        ]
    return "\n".join(lines) + "\n"


def _availability(limits: Thresholds) -> Iterator[Rule]:
    yield Rule(
        "FastserveDown",
        f'up{{job="{_quoted(limits.job)}"}} == 0',
        "1m",
        "critical",
        "{{ $labels.instance }} cannot be scraped",
        "Is the process there, and does it listen on the HTTP port? Its last log lines say why it "
        "ended: 'start failed', 'settings refused' or 'drain cut off'.",
    )
    yield Rule(
        "FastserveNotReady",
        "fastserve_ready == 0",
        "2m",
        "critical",
        "{{ $labels.instance }} is not ready for traffic",
        "GET /readyz names what is missing, one line each. A draining server stays so until it is "
        "gone; for a model run `fastserve model list` and mend the reason that it shows.",
    )
    for name, long, short, factor, severity in (
        ("Fast", "1h", "5m", 14.4, "critical"),
        ("Slow", "6h", "30m", 6.0, "warning"),
    ):
        budget = f"{factor * (1 - limits.availability):.6g}"
        yield Rule(
            f"FastserveErrorBudgetBurns{name}",
            f"{_error_ratio(long)} > {budget} and {_error_ratio(short)} > {budget}",
            "1m",
            severity,
            "{{ $labels.model }} fails {{ $value | humanizePercentage }} of its requests",
            "fastserve_failures_total by reason: queue_full and overloaded need capacity or less "
            "load; expired means deadlines shorter than queue and run together; execution is the "
            "model's own error, which the client's status text carries; draining ends with the "
            "drain. After a new version: `fastserve model load MODEL --version OLD`.",
        )
    yield Rule(
        "FastserveQueueSaturated",
        f"fastserve_queue_rows / fastserve_queue_limit_rows > {limits.queue_ratio:g} "
        "or sum by (instance, job, model, version) "
        '(rate(fastserve_failures_total{reason=~"queue_full|overloaded"}[5m])) > 0',
        "5m",
        "warning",
        "{{ $labels.model }}/{{ $labels.version }} has a full queue",
        "More comes in than the model can answer. See fastserve_backlog_seconds, and batching in "
        "fastserve_rows_total / fastserve_executions_total: raise max_rows or executors, add a "
        "server, or shed load at the client.",
    )


def _latency(limits: Thresholds) -> Iterator[Rule]:
    buckets = "sum by (model, version, le) (rate(fastserve_request_seconds_bucket[5m]))"
    yield Rule(
        "FastserveLatencyBudget",
        f"histogram_quantile({limits.latency_quantile:g}, {buckets}) > {limits.latency_seconds:g}",
        "5m",
        "warning",
        "{{ $labels.model }}/{{ $labels.version }} answers in {{ $value | humanizeDuration }}",
        "Compare the phases on the dashboard: queue means too little capacity, compute a slower "
        "model or a busy machine, reply a slow client. The exemplars of the slow buckets name "
        "requests.",
    )


def _lifecycle() -> Iterator[Rule]:
    yield Rule(
        "FastserveVersionFailed",
        'increase(fastserve_version_state_changes_total{state="FAILED"}[15m]) > 0',
        "0m",
        "warning",
        "A version of {{ $labels.model }} could not be loaded",
        "`fastserve model list` shows the reason, `fastserve model check MODEL --version N` tries "
        "again without loading. What served before goes on serving.",
    )
    yield Rule(
        "FastserveVersionNotReady",
        "fastserve_model_ready == 0",
        "10m",
        "warning",
        "{{ $labels.model }}/{{ $labels.version }} does not answer",
        "It is loading for very long, was unloaded for another, or failed: `fastserve model list`.",
    )


def _watch(limits: Thresholds) -> Iterator[Rule]:
    yield Rule(
        "FastserveDrift",
        "fastserve_drift_alarm == 1",
        "0m",
        "warning",
        "{{ $labels.feature }} of {{ $labels.model }}/{{ $labels.version }} drifts",
        "`fastserve drift show MODEL` compares it with the reference profile. One feature: look at "
        "where it comes from. All of them: another population; judge quality, retrain, or freeze a "
        "new profile when the change is wanted.",
    )
    measures = f'fastserve_quality{{measure=~"{_quoted(limits.quality_measures)}"}}'
    yield Rule(
        "FastserveQualityDrop",
        f"{measures} < {1 - limits.quality_drop:g} * avg_over_time({measures}[1d] offset 1h)",
        "15m",
        "critical",
        "{{ $labels.measure }} of {{ $labels.model }}/{{ $labels.version }} fell to {{ $value }}",
        "See fastserve_quality_labels: few labels scatter. If a new version came, go back to the "
        "old one; if a feature drifts, mend it; else retrain.",
    )
    yield Rule(
        "FastserveConceptDrift",
        "fastserve_concept_drift_alarm == 1",
        "0m",
        "critical",
        "Errors of {{ $labels.model }}/{{ $labels.version }} grow ({{ $labels.detector }})",
        "What follows from the inputs has changed, whether the inputs have or not. Check that "
        "labels are still made in the same way, then retrain.",
    )
    yield Rule(
        "FastserveContractViolations",
        "sum by (instance, job, model, version, feature, rule) "
        f"(increase(fastserve_contract_violations_total[10m])) > {limits.contract_rows:g}",
        "5m",
        "warning",
        "{{ $labels.feature }} of {{ $labels.model }} breaks its rule {{ $labels.rule }}",
        "Clients send what model.toml's [features] forbid. Find the client by captured requests; "
        "mend it, or widen the rule if the data is right.",
    )
    skipped = "rate(fastserve_sketch_skipped_rows_total[15m])"
    yield Rule(
        "FastserveSketchRowsSkipped",
        f"{skipped} / ({skipped} + rate(fastserve_sketch_rows_total[15m])) "
        f"> {limits.skipped_ratio:g}",
        "15m",
        "warning",
        "Drift of {{ $labels.model }} rests on a sample of its rows",
        "The observer cannot keep up and skips rows so that answers are not delayed. Scores stay "
        "right but for small windows; give the server a CPU more, or watch fewer features.",
    )


def _records() -> Iterator[Rule]:
    yield Rule(
        "FastserveCaptureFails",
        'increase(fastserve_capture_requests_total{outcome="failed"}[15m]) > 0',
        "5m",
        "warning",
        "{{ $labels.instance }} cannot write captured requests",
        "`fastserve capture status` and the server's log name the error: a full disk, a missing "
        "folder, rights. Requests are answered all the same.",
    )
    yield Rule(
        "FastserveAuditWriteErrors",
        "increase(fastserve_audit_write_errors_total[15m]) > 0 "
        "or increase(fastserve_audit_lost_records_total[15m]) > 0",
        "0m",
        "critical",
        "{{ $labels.instance }} cannot write its audit log",
        "Free the disk or restore the folder's rights; the log goes on by itself. Lost records are "
        "in the server's own log, as lines with the event 'change'.",
    )
    yield Rule(
        "FastserveWebhooksFail",
        'increase(fastserve_webhook_deliveries_total{outcome=~"failed|dropped"}[15m]) > 0',
        "5m",
        "warning",
        "{{ $labels.instance }} cannot deliver events",
        "The receiver does not answer or refuses; the server's log names the address and the "
        "status. Alarms stand on the metrics page meanwhile.",
    )
    yield Rule(
        "FastserveMetricsIncomplete",
        "increase(fastserve_metrics_source_errors_total[15m]) > 0",
        "0m",
        "warning",
        "The metrics of {{ $labels.source }} are missing from the page",
        "Alerts that rest on them are blind. The server's log has the error, with the event "
        "'metrics left out'; please report it.",
    )


def _error_ratio(window: str) -> str:
    failed = (
        f'sum by (model) (rate(fastserve_failures_total{{reason!~"{_CLIENT_REASONS}"}}[{window}]))'
    )
    answered = f"sum by (model) (rate(fastserve_requests_total[{window}]))"
    return f"{failed} / ({failed} + {answered})"


def _quoted(text: str) -> str:
    """Inside a PromQL string."""
    return json.dumps(text)[1:-1]
