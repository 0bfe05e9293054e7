"""TLS and mutual TLS, with certificates made for the test."""

import subprocess

import grpc
import numpy as np
import pytest
from oip_server import OipServer, serve

from fastserve.client import TLS, AsyncClient, Client, ServerUnreachable
from fastserve.errors import FastserveError, InvalidConfig

X = np.ones((1, 3), np.float32)


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def issue(folder, name):
    """A key and a certificate for `name`, signed by the test's own authority."""
    openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key",
        "-out", f"{name}.csr", "-subj", f"/CN={name}",
    )  # fmt: skip
    (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}\n")
    openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
    )  # fmt: skip
    return (folder / f"{name}.key").read_bytes(), (folder / f"{name}.crt").read_bytes()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key",
        "-out", "ca.crt", "-days", "2", "-subj", "/CN=test authority",
    )  # fmt: skip
    return (folder / "ca.crt").read_bytes(), issue(folder, "models.test"), issue(folder, "caller")


@pytest.fixture(scope="module")
def mutual_server(pki):
    authority, server_pair, _ = pki
    credentials = grpc.ssl_server_credentials([server_pair], authority, require_client_auth=True)
    with serve(OipServer(credentials=credentials)) as server:
        yield server


def test_mutual_tls_is_made_with_the_clients_certificate(pki, mutual_server):
    authority, _, (key, certificate) = pki
    tls = TLS(authority, certificate, key, server_name="models.test")
    with Client(mutual_server.address, tls=tls, timeout=20) as client:
        assert client.infer("linear", {"x": X})["y"].tolist() == [[9.0, 12.0]]


async def test_asyncio_client_makes_mutual_tls_too(pki, mutual_server):
    authority, _, (key, certificate) = pki
    tls = TLS(authority, certificate, key, server_name="models.test")
    async with AsyncClient(mutual_server.address, tls=tls, timeout=20) as client:
        assert (await client.infer("linear", {"x": X}))["y"].tolist() == [[9.0, 12.0]]


@pytest.mark.parametrize("tls", [True, TLS(server_name="models.test")], ids=["system", "no-root"])
def test_server_that_the_roots_do_not_sign_is_not_talked_to(mutual_server, tls):
    with (
        Client(mutual_server.address, tls=tls, retries=0, timeout=20) as client,
        pytest.raises(ServerUnreachable),
    ):
        client.live()


def test_client_without_a_certificate_is_turned_away(pki, mutual_server):
    tls = TLS(pki[0], server_name="models.test")
    with (
        Client(mutual_server.address, tls=tls, retries=0, timeout=20) as client,
        pytest.raises(FastserveError),
    ):
        client.live()


def test_certificate_without_its_key_is_refused():
    with pytest.raises(InvalidConfig, match="the key is missing"):
        TLS(certificate=b"pem")
