"""All RPCs of the server in one table: which of them depends on the transport."""

from collections.abc import Iterable

from fastserve.models.readiness import Readiness
from fastserve.rpc import (
    capture,
    feedback,
    health,
    inference,
    reflection,
    release,
    rollout,
    settings,
    shadow,
    watch,
)
from fastserve.rpc.calls import Calls
from fastserve.rpc.method_table import Method, MethodTable
from fastserve.rpc.raw import RawInference
from fastserve.rpc.raw_inference import RawInferenceServicer

# Served in every table; health answers for them as for the server.
SERVICES = (
    inference.SERVICE,
    settings.SERVICE,
    capture.SERVICE,
    feedback.SERVICE,
    release.SERVICE,
    rollout.SERVICE,
    shadow.SERVICE,
    watch.SERVICE,
    health.SERVICE,
    *reflection.SERVICES,
)


def build_table(
    readiness: Readiness,
    served: Iterable[Method],
    raw: RawInference | None = None,
    calls: Calls | None = None,
) -> MethodTable:
    """The table: `served`, health and reflection.

    Inferences are in it with `raw`; without, the core answers them.
    """
    methods: list[Method] = [
        *served,
        *health.HealthServicer(readiness, SERVICES).methods(),
        *reflection.ReflectionServicer(lambda: sorted(SERVICES)).methods(),
    ]
    if raw is not None:
        methods += RawInferenceServicer(raw, calls or Calls()).methods()
    return MethodTable(methods)
