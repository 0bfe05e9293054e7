"""TLS and mutual TLS on each transport, from files as the command line takes them."""

import subprocess

import grpc
import pytest

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A CA, and certificates of it for the server (127.0.0.1) and for a client."""
    folder = tmp_path_factory.mktemp("tls")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        *("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"),
        cwd=folder,
    )
    for name, extension in (
        ("server", "subjectAltName=IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ):
        (folder / f"{name}.ext").write_text(extension)
        openssl(
            *("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr"),
            *("-subj", f"/CN={name}"),
            cwd=folder,
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
            cwd=folder,
        )
    return folder


@pytest.fixture(params=["native", "grpcio"])
def arguments(request, files):
    return (
        *("--transport", request.param),
        *("--tls-cert", files / "server.pem", "--tls-key", files / "server.key"),
    )


def is_live(server, credentials):
    with grpc.secure_channel(server.grpc, credentials) as channel:
        return GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=20).live


def credentials(files, *, with_certificate):
    ca = (files / "ca.pem").read_bytes()
    if not with_certificate:
        return grpc.ssl_channel_credentials(ca)
    key, chain = (files / "client.key").read_bytes(), (files / "client.pem").read_bytes()
    return grpc.ssl_channel_credentials(ca, key, chain)


def test_tls_serves_those_who_trust_the_ca(start_server, tmp_path, files, arguments):
    server = start_server(tmp_path, *arguments)
    assert is_live(server, credentials(files, with_certificate=False))


def test_tls_port_refuses_plain_text(start_server, tmp_path, arguments):
    server = start_server(tmp_path, *arguments)
    with (
        grpc.insecure_channel(server.grpc) as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=20)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_mutual_tls_asks_for_a_certificate_of_the_client_ca(
    start_server, tmp_path, files, arguments
):
    server = start_server(tmp_path, *arguments, "--tls-client-ca", files / "ca.pem")
    assert is_live(server, credentials(files, with_certificate=True))
    with pytest.raises(grpc.RpcError) as error:
        is_live(server, credentials(files, with_certificate=False))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_key_that_is_no_key_ends_the_start_with_a_reason(start_server, tmp_path, files, transport):
    with pytest.raises(AssertionError, match=r"exit status [12]") as error:
        start_server(
            tmp_path,
            *("--transport", transport),
            *("--tls-cert", files / "server.pem", "--tls-key", files / "server.pem"),
        )
    assert "start failed" in str(error.value) or "settings refused" in str(error.value)
