"""`fastserve bench` over TLS, against real servers."""

import json

import pytest

QUICK = ("--requests", 200, "--in-flight", 4, "--warm-up", 0, "--json")


@pytest.fixture
def secure(start_server, demo_models, tls_files):
    """A function that starts a server with TLS and gives its address."""

    def start(*arguments):
        pair = ("--tls-cert", tls_files / "server.pem", "--tls-key", tls_files / "server.key")
        return start_server(demo_models.repository, *pair, *arguments).grpc

    return start


def all_answered(outcome):
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)["models"]["digits"]["statuses"] == {"OK": 200}


def port_of(endpoint):
    return endpoint.rpartition(":")[2]


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_mutual_tls_carries_a_load(secure, tls_files, fastserve, transport):
    endpoint = secure("--transport", transport, "--tls-client-ca", tls_files / "ca.pem")
    trusting = ("bench", "digits", "--endpoint", endpoint, "--tls-ca", tls_files / "ca.pem")
    shown = ("--tls-cert", tls_files / "client.pem", "--tls-key", tls_files / "client.key")
    assert all_answered(fastserve(*trusting, *shown, *QUICK))
    outcome = fastserve(*trusting, *QUICK)
    assert outcome.code == 3
    assert outcome.err.count("\n") == 1
    assert "--tls-cert FILE --tls-key FILE" in outcome.err


def test_server_is_trusted_by_authority_and_name_alone(secure, tls_files, fastserve, monkeypatch):
    endpoint = secure()
    other_name = f"localhost:{port_of(endpoint)}"
    trusting = ("--tls-ca", tls_files / "ca.pem")

    def bench(endpoint, *arguments):
        return fastserve("bench", "digits", "--endpoint", endpoint, *arguments, *QUICK)

    assert all_answered(bench(endpoint, *trusting))
    assert all_answered(bench(other_name, *trusting, "--tls-server-name", "models.test"))
    unknown = bench(endpoint, "--tls")
    wrong = bench(other_name, *trusting)
    assert [unknown.code, wrong.code] == [3, 3]
    assert f"{endpoint}: a connection failed before the load began: TLS handshake" in unknown.err
    assert "certificate verify failed: unable to get local issuer certificate" in unknown.err
    assert "--tls-ca FILE" in unknown.err
    assert "expected 'localhost'; the certificate is for 'models.test', '127.0.0.1'" in wrong.err
    assert "--tls-server-name NAME" in wrong.err
    # The system's authorities, wherever it keeps them.
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_files / "ca.pem"))
    assert all_answered(bench(endpoint, "--tls"))


def test_comparison_and_sweep_use_tls_too(secure, tls_files, fastserve):
    endpoint = secure()
    asked = ("bench", "digits", "--endpoint", endpoint, "--tls-ca", tls_files / "ca.pem", "--json")
    outcome = fastserve(*asked, "--against", endpoint, "--duration", 0.2, "--rounds", 2)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["second"]["errors"] == 0
    outcome = fastserve(*asked, "--sweep", 0.0001, "--duration", 0.05, "--warm-up", 0)
    assert outcome.code == 0, outcome.err
    assert all(step["error_rate"] == 0 for step in json.loads(outcome.out)["steps"])


def test_server_without_tls_is_told_at_once(demo_server, tls_files, fastserve):
    outcome = fastserve(
        *("bench", "digits", "--endpoint", demo_server.grpc, "--tls-ca", tls_files / "ca.pem")
    )
    assert outcome.code == 3
    assert "is it a server without TLS?" in outcome.err


def test_second_server_is_asked_before_the_load_too(secure, demo_server, tls_files, fastserve):
    outcome = fastserve(
        *("bench", "digits", "--endpoint", secure(), "--against", demo_server.grpc),
        *("--tls-ca", tls_files / "ca.pem"),
    )
    assert outcome.code == 3
    assert f"{demo_server.grpc}: a connection failed" in outcome.err


def test_files_that_are_no_pem_are_refused(demo_server, tls_files, fastserve, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.touch()
    asked = ("bench", "digits", "--endpoint", demo_server.grpc)
    pair = ("--tls-cert", tls_files / "client.pem", "--tls-key", tls_files / "server.key")
    for options, said in (
        (("--tls-ca", tls_files / "ca.key"), "TLS server CA cannot be used"),
        (("--tls-ca", empty), "is empty, expected PEM"),
        (pair, "give the key that belongs to the certificate"),
        (pair[:2], "the key is missing"),
    ):
        outcome = fastserve(*asked, *options)
        assert outcome.code == 2, outcome.err
        assert said in outcome.err
