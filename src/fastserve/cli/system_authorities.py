"""Whom this machine trusts, for grpcio, which would trust the list that it brings along."""

import ssl
from pathlib import Path


def system_authorities() -> bytes | None:
    """Certificates in PEM from where OpenSSL looks; None where there are none.

    Its file and its folder, or those that SSL_CERT_FILE and SSL_CERT_DIR name.
    """
    paths = ssl.get_default_verify_paths()
    files = [Path(paths.cafile)] if paths.cafile else []
    if paths.capath:
        # OpenSSL finds the certificates of a folder by links that are called after their hash.
        files += sorted(Path(paths.capath).glob("*.[0-9]"))
    return b"\n".join(file.read_bytes() for file in files if file.is_file()) or None
