"""TLS and mutual TLS on each transport, from files as the command line takes them."""

import grpc
import pytest

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub


@pytest.fixture(params=["native", "grpcio"])
def arguments(request, tls_files):
    return (
        *("--transport", request.param),
        *("--tls-cert", tls_files / "server.pem", "--tls-key", tls_files / "server.key"),
    )


def is_live(server, credentials):
    with grpc.secure_channel(server.grpc, credentials) as channel:
        return GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=20).live


def credentials(tls_files, *, with_certificate):
    ca = (tls_files / "ca.pem").read_bytes()
    if not with_certificate:
        return grpc.ssl_channel_credentials(ca)
    key, chain = (tls_files / "client.key").read_bytes(), (tls_files / "client.pem").read_bytes()
    return grpc.ssl_channel_credentials(ca, key, chain)


def test_tls_serves_those_who_trust_the_ca(start_server, tmp_path, tls_files, arguments):
    server = start_server(tmp_path, *arguments)
    assert is_live(server, credentials(tls_files, with_certificate=False))


def test_tls_port_refuses_plain_text(start_server, tmp_path, arguments):
    server = start_server(tmp_path, *arguments)
    with (
        grpc.insecure_channel(server.grpc) as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=20)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_mutual_tls_asks_for_a_certificate_of_the_client_ca(
    start_server, tmp_path, tls_files, arguments
):
    server = start_server(tmp_path, *arguments, "--tls-client-ca", tls_files / "ca.pem")
    assert is_live(server, credentials(tls_files, with_certificate=True))
    with pytest.raises(grpc.RpcError) as error:
        is_live(server, credentials(tls_files, with_certificate=False))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_key_that_is_no_key_ends_the_start_with_a_reason(
    start_server, tmp_path, tls_files, transport
):
    with pytest.raises(AssertionError, match=r"exit status [12]") as error:
        start_server(
            tmp_path,
            *("--transport", transport),
            *("--tls-cert", tls_files / "server.pem", "--tls-key", tls_files / "server.pem"),
        )
    assert "start failed" in str(error.value) or "settings refused" in str(error.value)
