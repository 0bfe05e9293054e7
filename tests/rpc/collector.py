"""An OpenTelemetry collector's receiver for tests: the real service over real gRPC."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2 as pb,
    trace_service_pb2_grpc as service,
)


class Collector(service.TraceServiceServicer):
    """Keeps what it is sent. While `gate` is clear, it hangs in its answers."""

    def __init__(self):
        self.spans = []
        self.resources = []
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self._changed = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(4))
        service.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def Export(self, request, context):  # noqa: N802 - the service's own name
        with self._changed:
            self.calls += 1
            self._changed.notify_all()
        self.gate.wait()
        with self._changed:
            for resource in request.resource_spans:
                self.resources.append(attributes(resource.resource))
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
            self._changed.notify_all()
        return pb.ExportTraceServiceResponse()

    def wait(self, is_enough, seconds=30):
        deadline = time.monotonic() + seconds
        with self._changed:
            while not is_enough():
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.spans)} spans, {self.calls} exports"
                self._changed.wait(left)

    def take(self, count=1):
        """Waits for so many spans, returns and forgets them."""
        self.wait(lambda: len(self.spans) >= count)
        with self._changed:
            taken, self.spans = self.spans, []
        assert len(taken) == count, [span.name for span in taken]
        return taken

    def stop(self):
        self.gate.set()
        self._server.stop(0).wait()


def attributes(owner):
    """As a dictionary."""
    return {
        entry.key: getattr(entry.value, entry.value.WhichOneof("value"))
        for entry in owner.attributes
    }
