"""A real Prometheus scrapes a real server: the page is well formed, and alerts fire and end."""

import gzip
import shutil
import sys
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from prometheus import Prometheus, promtool

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from fastserve.observe.alert_rules import Thresholds, alert_rules, to_yaml

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def rules_of(alert):
    """The rule as operators get it, but that it holds at once: an hour is too long for a test."""
    (rule,) = (rule for rule in alert_rules(Thresholds()) if rule.alert == alert)
    return to_yaml([rule._replace(hold="0s")])


def get(server, **headers):
    request = urllib.request.Request(
        f"http://{server.http}/metrics",
        headers={k.replace("_", "-"): v for k, v in headers.items()},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
        return answer.read(), answer.headers


def request(bench_model="mlp", request_id=""):
    array = np.zeros((1, 30), np.float32)
    return pb.ModelInferRequest(
        model_name=bench_model,
        id=request_id,
        inputs=[{"name": "input", "datatype": "FP32", "shape": array.shape}],
        raw_input_contents=[array.tobytes()],
    )


@pytest.fixture
def repository(tmp_path, bench_repository):
    shutil.copytree(bench_repository / "mlp", tmp_path / "repository" / "mlp")
    return tmp_path / "repository"


def fail_a_version(server, repository):
    folder = repository / "mlp" / "2"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"not a model")


def fail_a_model(server, repository):
    folder = repository / "broken" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"not a model")


# What brings an alert about on a real server. Further parts add theirs here, as
# `"FastserveDrift": (send_other_rows, ("--config", ...))` once drift is on the page.
INCIDENTS = {
    "FastserveVersionFailed": (fail_a_version, ("--watch",)),
    "FastserveVersionNotReady": (fail_a_version, ("--watch",)),
    "FastserveNotReady": (fail_a_model, ("--watch",)),
}


@pytest.mark.parametrize("alert", INCIDENTS)
def test_alert_fires_in_a_real_prometheus(start_server, repository, tmp_path, alert):
    bring_about, arguments = INCIDENTS[alert]
    server = start_server(repository, *arguments)
    with Prometheus(tmp_path / "prometheus", [server.http], rules_of(alert)) as prometheus:
        prometheus.wait_for(lambda: prometheus.query("fastserve_model_ready"), "the first scrape")
        assert prometheus.firing() == []
        bring_about(server, repository)
        (labels,) = prometheus.wait_for(prometheus.firing, f"{alert} to fire")
    assert labels["alertname"] == alert
    assert labels["instance"] == server.http


def test_down_alert_fires_when_the_server_is_gone(start_server, repository, tmp_path):
    server = start_server(repository)
    rules = rules_of("FastserveDown")
    with Prometheus(tmp_path / "prometheus", [server.http], rules) as prometheus:
        prometheus.wait_for(lambda: prometheus.query("up == 1"), "the first scrape")
        server.stop()
        (labels,) = prometheus.wait_for(prometheus.firing, "the alert")
    assert labels["alertname"] == "FastserveDown"


def test_prometheus_reads_the_exemplar_with_the_clients_id(start_server, repository, tmp_path):
    server = start_server(repository)
    hostile = 'id "quoted" \\ and\nbroken'
    with Prometheus(tmp_path / "prometheus", [server.http]) as prometheus:
        with grpc.insecure_channel(server.grpc) as channel:
            stub = GRPCInferenceServiceStub(channel)
            stub.ModelInfer(request(request_id=hostile), timeout=30)
        found = prometheus.wait_for(
            lambda: prometheus.exemplars("fastserve_request_seconds_bucket"), "an exemplar"
        )
        counted = prometheus.query("fastserve_requests_total")
    # Prometheus 2 keeps the backslashes of an exemplar; later ones read them.
    kept = 'id \\"quoted\\" \\\\ and\\nbroken'
    assert found in ([{"request_id": hostile}], [{"request_id": kept}])
    assert list(counted.values()) == [1.0]


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_long_ids_are_cut_to_what_openmetrics_allows(start_server, repository, transport):
    server = start_server(repository, "--transport", transport)
    with grpc.insecure_channel(server.grpc) as channel:
        GRPCInferenceServiceStub(channel).ModelInfer(request(request_id="é" * 500), timeout=30)
    body = get(server, Accept=OPENMETRICS)[0].decode()
    (line,) = (line for line in body.splitlines() if " # {" in line)
    assert line.partition('request_id="')[2].partition('"')[0] == "é" * 59
    assert " # {" not in get(server)[0].decode()


def test_promtool_finds_nothing_wrong_with_the_page(start_server, repository):
    server = start_server(repository)
    with grpc.insecure_channel(server.grpc) as channel:
        GRPCInferenceServiceStub(channel).ModelInfer(request(), timeout=30)
    assert promtool("check", "metrics", stdin=get(server)[0].decode()) == (0, "")


def test_page_is_compressed_when_the_scraper_accepts_it(start_server, repository):
    server = start_server(repository)
    plain, _ = get(server)
    packed, headers = get(server, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert "accept-encoding" in headers["Vary"]
    assert len(packed) < len(plain) / 4
    assert b"fastserve_ready 1.0" in gzip.decompress(packed)
    for header in ("application/openmetrics-text; version=x", "a/b;q=nan", ";", "," * 50):
        assert get(server, Accept=header)[1]["Content-Type"].startswith("text/plain")
