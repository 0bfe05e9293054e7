"""A server of nothing but captured files."""

from thread_server import ThreadServer

from fastserve.rpc.capture import CaptureServicer


class CaptureServer(ThreadServer):
    """Answers Status and Export of `capture`, or says that there is none."""

    def __init__(self, root, capture, transport="native"):
        super().__init__(root, transport)
        self._capture = capture

    def open(self, _catalog, _readiness):
        return CaptureServicer(lambda: self._capture).methods()
