"""Profiles that the server keeps itself: frozen from live rows, or sent by an operator.

`drift/<model>/<version>.profile` in the state folder. They survive a restart, and go before the one
in the version's folder, since somebody asked for them later. A profile belongs to the files that it
was made for: when other files come under the same number, it is passed over.

Thread: any, one call for a version at a time; every function waits for the disk.
"""

import os
from pathlib import Path
from typing import Final

from fastserve.drift.profile import (
    MAX_PROFILE_BYTES,
    ReferenceProfile,
    decode_profile,
    encode_profile,
)
from fastserve.drift.signature import Signature
from fastserve.durable.replacement import open_regular, replace_file, sync_folder
from fastserve.errors import ArtifactCorrupt

FOLDER: Final = "drift"


class ProfileStore:
    """Without a folder nothing is kept, and nothing found."""

    def __init__(self, state_folder: Path | None) -> None:
        self._folder = None if state_folder is None else state_folder / FOLDER

    @property
    def is_durable(self) -> bool:
        return self._folder is not None

    def read(
        self, model: str, number: int, expected: Signature, digest: str
    ) -> ReferenceProfile | None:
        """The version's, when there is one for these files.

        Errors: as `decode_profile`, with the file's place; OSError.
        """
        path = self._path(model, number)
        if path is None:
            return None
        try:
            descriptor = open_regular(path)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            if size > MAX_PROFILE_BYTES:
                raise ArtifactCorrupt(
                    f"{path}: has {size} bytes, more than the limit of {MAX_PROFILE_BYTES}"
                )
            data = file.read(size)
        profile = decode_profile(data, expected, name=str(path))
        return profile if profile.header.digest in ("", digest) else None

    def write(self, model: str, number: int, profile: ReferenceProfile) -> None:
        """Durable when it returns. Errors: OSError."""
        path = self._path(model, number)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, encode_profile(profile))
        sync_folder(path.parent.parent)

    def remove(self, model: str, number: int) -> bool:
        """Whether there was one. Errors: OSError."""
        path = self._path(model, number)
        if path is None:
            return False
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        sync_folder(path.parent)
        return True

    def _path(self, model: str, number: int) -> Path | None:
        # Names of models are names of folders of the repository.
        return None if self._folder is None else self._folder / model / f"{number}.profile"
