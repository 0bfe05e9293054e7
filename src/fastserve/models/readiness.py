"""Is the server ready, as a whole and per model? One answer for health checks of every protocol.

Thread: the event loop's.
"""

from collections.abc import Callable

from fastserve.errors import FastserveError, ModelNotFound
from fastserve.models.catalog import Catalog


class Readiness:
    """Ready means: every model that should answer does, and the server is not going away."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._is_draining = False
        self._listeners: list[Callable[[], None]] = []
        catalog.on_change(self._tell)

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    def start_drain(self) -> None:
        """The server begins to go away; it never becomes ready again."""
        self._is_draining = True
        self._tell()

    def obstacles(self) -> list[str]:
        """What keeps the server from being ready, for people; empty when it is."""
        return ["the server is draining", *self._catalog.unready()][0 if self._is_draining else 1 :]

    def is_ready(self) -> bool:
        return not self.obstacles()

    def is_model_ready(self, name: str, version: str) -> bool | None:
        """None when the repository has no such model or version. Errors: none."""
        try:
            record = self._catalog.resolve(name, version)
        except ModelNotFound:
            # A model that is there and has nothing that answers is not ready.
            return None if self._catalog.get(name) is None else False
        except FastserveError:
            return None
        # What is loaded on demand answers, if a little later the first time.
        return (record.is_ready or record.is_on_demand) and not self._is_draining

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after anything that may change an answer; returns what takes it off."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()
