"""A Grafana dashboard over the metrics page: from traffic down to the process, one row each.

Grafana's JSON model, schema 39 (Grafana 10.4 and later). The data source, the job, models and
versions are variables, so one file serves every installation.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

_SCHEMA: Final = 39
_WIDTH: Final = 24  # of Grafana's grid
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SERVER: Final = 'job=~"$job"'
_OF: Final = 'job=~"$job",model=~"$model",version=~"$version"'
_PHASES: Final = ("queue", "gather", "compute", "reply", "request")


class _Query(NamedTuple):
    expr: str
    legend: str


class _Panel(NamedTuple):
    title: str
    kind: str
    unit: str
    queries: Sequence[_Query]
    description: str = ""


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    return {
        "title": "fastserve",
        "uid": "fastserve",
        "tags": ["fastserve", "inference"],
        "description": "Written by `fastserve observe dashboard`.",
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "annotations": {"list": [_state_changes()]},
        "templating": {"list": list(_variables())},
        "panels": list(_layout()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "refresh": 1,
        "current": {},
    }
    for name, query in (
        ("job", "label_values(fastserve_info, job)"),
        ("model", f"label_values(fastserve_model_ready{{{_SERVER}}}, model)"),
        ("version", f'label_values(fastserve_model_ready{{{_SERVER},model=~"$model"}}, version)'),
    ):
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": _SOURCE,
            "definition": query,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": ["$__all"]},
        }


def _state_changes() -> dict[str, Any]:
    return {
        "name": "Versions that became ready or failed",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": "increase(fastserve_version_state_changes_total"
        f'{{{_SERVER},model=~"$model",state=~"READY|FAILED"}}[1m]) > 0',
        "titleFormat": "{{model}}: {{state}}",
    }


def _rows() -> Iterator[tuple[str, list[_Panel]]]:
    yield "Traffic", _traffic()
    yield "Latency by phase", list(_latency())
    yield "Batching", _batching()
    yield "Failures", _failures()
    yield "Lifecycle", _lifecycle()
    yield "Drift", _drift()
    yield "Quality", _quality()
    yield "Capture and events", _capture()
    yield "Process", _process()


def _traffic() -> list[_Panel]:
    return [
        _lines("Requests", "reqps", (_rate("fastserve_requests_total"), _NAMED)),
        _lines("Rows", "rowsps", (_rate("fastserve_rows_total"), _NAMED)),
        _lines(
            "In flight and waiting",
            "short",
            (f"fastserve_in_flight_requests{{{_OF}}}", f"{_NAMED} in flight"),
            (f"fastserve_queue_requests{{{_OF}}}", f"{_NAMED} waiting"),
        ),
    ]


def _latency() -> Iterator[_Panel]:
    for phase in _PHASES:
        buckets = (
            f"sum by (model, version, le) (rate(fastserve_{phase}_seconds_bucket"
            f"{{{_OF}}}[$__rate_interval]))"
        )
        yield _lines(
            "Whole request" if phase == "request" else phase.capitalize(),
            "s",
            *(
                (f"histogram_quantile({quantile}, {buckets})", f"{_NAMED} p{name}")
                for quantile, name in ((0.5, "50"), (0.99, "99"), (0.999, "99.9"))
            ),
        )
    yield _Panel(
        "Where requests take how long",
        "heatmap",
        "s",
        [
            _Query(
                f"sum by (le) (rate(fastserve_request_seconds_bucket{{{_OF}}}[$__rate_interval]))",
                "{{le}}",
            )
        ],
        "Points are requests of clients that send an id, when Prometheus stores exemplars.",
    )


def _batching() -> list[_Panel]:
    executions = _rate("fastserve_executions_total")
    return [
        _lines(
            "Rows of a batch", "short", (f"{_rate('fastserve_rows_total')} / {executions}", _NAMED)
        ),
        _lines("Runs", "ops", (executions, _NAMED)),
        _lines(
            "Why batches began",
            "ops",
            (_rate("fastserve_batch_releases_total", "reason"), "{{reason}}"),
        ),
        _lines(
            "Queue against its bound",
            "percentunit",
            (f"fastserve_queue_rows{{{_OF}}} / fastserve_queue_limit_rows{{{_OF}}}", _NAMED),
        ),
        _lines(
            "Time to run what waits", "s", (f"fastserve_backlog_seconds{{{_SERVER}}}", _INSTANCE)
        ),
    ]


def _failures() -> list[_Panel]:
    failed, answered = (
        _rate("fastserve_failures_total", "model"),
        _rate("fastserve_requests_total", "model"),
    )
    return [
        _lines("By reason", "reqps", (_rate("fastserve_failures_total", "reason"), "{{reason}}")),
        _lines(
            "Share of requests", "percentunit", (f"{failed} / ({failed} + {answered})", "{{model}}")
        ),
    ]


def _lifecycle() -> list[_Panel]:
    of_model = f'{_SERVER},model=~"$model"'
    changes = "fastserve_version_state_changes_total"
    return [
        _Panel(
            "Versions",
            "table",
            "short",
            [
                _Query(f"fastserve_model_ready{{{_OF}}}", "ready"),
                _Query(f"fastserve_model_serving{{{_OF}}}", "serving"),
                _Query(f"fastserve_max_rows{{{_OF}}}", "max rows"),
            ],
        ),
        _lines(
            "Changes of state",
            "short",
            (
                f"sum by (model, state) (increase({changes}{{{of_model}}}[$__rate_interval]))",
                "{{model}} {{state}}",
            ),
        ),
        _lines(
            "Memory of models",
            "bytes",
            (f"fastserve_model_memory_bytes{{{_OF}}}", _NAMED),
            (f"fastserve_models_memory_bytes{{{_SERVER}}}", "together"),
        ),
        _lines("Time of the load", "s", (f"fastserve_model_load_seconds{{{_OF}}}", _NAMED)),
    ]


def _drift() -> list[_Panel]:
    return [
        _Panel(
            "Alarms",
            "table",
            "short",
            [_Query(f"fastserve_drift_alarm{{{_OF}}} == 1", "alarm")],
        ),
        _Panel(
            "PSI by feature",
            "state-timeline",
            "short",
            [
                _Query(
                    f'topk(30, fastserve_drift_score{{{_OF},score="psi"}})',
                    f"{_NAMED} {{{{feature}}}}",
                )
            ],
            "Below 0.1 nothing happened, above 0.25 something did.",
        ),
        _Panel(
            "Scores",
            "table",
            "short",
            [_Query(f"sort_desc(fastserve_drift_score{{{_OF}}})", "score")],
        ),
        _lines("Rows of the window", "short", (f"fastserve_drift_window_rows{{{_OF}}}", _NAMED)),
        _lines(
            "Rows in sketches, and skipped",
            "rowsps",
            (_rate("fastserve_sketch_rows_total"), f"{_NAMED} sketched"),
            (_rate("fastserve_sketch_skipped_rows_total"), f"{_NAMED} skipped"),
        ),
        _lines(
            "Contract violations",
            "rowsps",
            (
                _rate("fastserve_contract_violations_total", "model, feature, rule"),
                "{{model}} {{feature}} {{rule}}",
            ),
        ),
    ]


def _quality() -> list[_Panel]:
    labels = f'fastserve_feedback_labels_total{{{_SERVER},model=~"$model"}}'
    return [
        _lines(
            "Quality",
            "short",
            (f"fastserve_quality{{{_OF}}}", f"{_NAMED} {{{{segment}}}} {{{{measure}}}}"),
        ),
        _lines(
            "Labels",
            "short",
            (
                f"sum by (model, outcome) (rate({labels}[$__rate_interval]))",
                "{{model}} {{outcome}}",
            ),
        ),
        _lines(
            "Concept drift",
            "short",
            (f"fastserve_concept_drift_alarm{{{_OF}}}", f"{_NAMED} {{{{detector}}}}"),
        ),
        _lines(
            "Fairness gap",
            "short",
            (f"fastserve_fairness_gap{{{_OF}}}", f"{_NAMED} {{{{segment}}}} {{{{measure}}}}"),
        ),
    ]


def _capture() -> list[_Panel]:
    def by_outcome(name: str) -> str:
        return f"sum by (outcome) (rate({name}{{{_SERVER}}}[$__rate_interval]))"

    alarms = f'fastserve_alarms_total{{{_SERVER},model=~"$model"}}'
    return [
        _lines(
            "Captured requests",
            "reqps",
            (by_outcome("fastserve_capture_requests_total"), "{{outcome}}"),
        ),
        _lines(
            "Captured bytes",
            "Bps",
            (f"rate(fastserve_capture_bytes_total{{{_SERVER}}}[$__rate_interval])", _INSTANCE),
        ),
        _lines(
            "Webhooks", "ops", (by_outcome("fastserve_webhook_deliveries_total"), "{{outcome}}")
        ),
        _lines(
            "Alarms",
            "short",
            (
                f"sum by (kind) (increase({alarms}[1h]))",
                "{{kind}}",
            ),
        ),
        _lines(
            "Audit log",
            "short",
            (f"increase(fastserve_audit_records_total{{{_SERVER}}}[1h])", "records in an hour"),
            (f"increase(fastserve_audit_write_errors_total{{{_SERVER}}}[1h])", "write errors"),
        ),
    ]


def _process() -> list[_Panel]:
    return [
        _lines("Ready", "short", (f"fastserve_ready{{{_SERVER}}}", _INSTANCE)),
        _lines(
            "CPU",
            "short",
            (f"rate(process_cpu_seconds_total{{{_SERVER}}}[$__rate_interval])", _INSTANCE),
        ),
        _lines(
            "Resident memory", "bytes", (f"process_resident_memory_bytes{{{_SERVER}}}", _INSTANCE)
        ),
        _lines(
            "Open",
            "short",
            (f"fastserve_open_connections{{{_SERVER}}}", f"{_INSTANCE} connections"),
            (f"fastserve_open_calls{{{_SERVER}}}", f"{_INSTANCE} calls"),
            (f"process_open_fds{{{_SERVER}}}", f"{_INSTANCE} files"),
        ),
    ]


_NAMED: Final = "{{model}}/{{version}}"
_INSTANCE: Final = "{{instance}}"


def _rate(name: str, by: str = "model, version") -> str:
    return f"sum by ({by}) (rate({name}{{{_OF}}}[$__rate_interval]))"


def _lines(title: str, unit: str, *queries: tuple[str, str]) -> _Panel:
    return _Panel(title, "timeseries", unit, [_Query(*query) for query in queries])


def _layout() -> Iterator[dict[str, Any]]:
    """Rows and their panels, three beside each other."""
    number = 0
    y = 0
    width = _WIDTH // 3
    for title, panels in _rows():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
        }
        y += 1
        for place, panel in enumerate(panels):
            number += 1
            x, below = place % 3 * width, place // 3 * _HEIGHT
            yield _panel(panel, number, {"x": x, "y": y + below, "w": width, "h": _HEIGHT})
        y += -(-len(panels) // 3) * _HEIGHT


def _panel(panel: _Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    is_table = panel.kind == "table"
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": _OPTIONS.get(panel.kind, {}),
        "targets": [
            {
                "refId": chr(ord("A") + place_of),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
                "instant": is_table,
                "range": not is_table,
                "exemplar": panel.kind == "heatmap",
            }
            for place_of, query in enumerate(panel.queries)
        ],
    }
    if is_table:
        made["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True}}},
        ]
    return made


_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "heatmap": {"calculate": False, "yAxis": {"unit": "s"}, "exemplars": {"color": "orange"}},
    "state-timeline": {"mergeValues": True, "showValue": "never"},
}
