"""Puts a reference profile into a version's folder that is there already.

A version with a manifest is complete or refused, so the profile has to be in the manifest. Two
names cannot be replaced at once: the profile's comes first, the manifest's last. Whoever reads
between the two, or after a crash there, finds a file that the manifest does not list and refuses
the version with that reason; a server that follows the repository tries again when the manifest has
changed, and running this once more mends it. A server that has loaded the version has read its
files, and is not disturbed.
"""

import contextlib
import hashlib
from pathlib import Path

import msgspec

from fastserve.config import read_regular_file
from fastserve.durable.replacement import replace_file
from fastserve.errors import ArtifactCorrupt, InvalidConfig, quoted
from fastserve.models.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    ManifestFile,
    decode_manifest,
    encode_manifest,
)
from fastserve.models.pinned import PROFILE_FILE


def write_profile(folder: Path, data: bytes) -> Path:
    """`reference.profile` of the folder holds `data`, durably, and its manifest says so.

    The version's digest changes with it: a server that follows the repository loads it anew.
    Errors: InvalidConfig when the folder cannot be written; ArtifactCorrupt for a damaged manifest.
    Thread: any, one at a time for a folder.
    """
    path = folder / PROFILE_FILE
    manifest_path = folder / MANIFEST_FILE
    manifest = None
    if manifest_path.exists():
        name = f"{folder.parent.name}/{folder.name}/{MANIFEST_FILE}"
        content = read_regular_file(manifest_path, name=name, max_bytes=MAX_MANIFEST_BYTES)
        manifest = decode_manifest(content)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ArtifactCorrupt(f"{quoted(str(path))} is not a regular file: remove it")
    try:
        replace_file(path, data)
        # Readable as the version's other files are: the server may run as somebody else.
        path.chmod(0o644)
        if manifest is not None:
            entry = ManifestFile(len(data), hashlib.sha256(data).hexdigest())
            files = {**manifest.files, PROFILE_FILE: entry}
            replace_file(
                manifest_path, encode_manifest(msgspec.structs.replace(manifest, files=files))
            )
            with contextlib.suppress(PermissionError):
                manifest_path.chmod(0o644)
    except OSError as error:
        raise InvalidConfig(f"{quoted(str(path))} cannot be written: {error.strerror}") from error
    return path
