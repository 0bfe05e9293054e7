"""`/metrics`, `/healthz` and `/readyz`: small pages for machines.

`/healthz` answers 200 as long as the process does. `/readyz` answers 200 when the server is ready
for traffic, else 503 with what is missing, one line each.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fastserve.models.readiness import Readiness

if TYPE_CHECKING:
    from fastserve.observe.metrics import MetricsPage


def build_application(readiness: Readiness, page: Callable[[], "MetricsPage"]) -> Starlette:
    """The application. `page` is called at a scrape: what renders it is slow to import."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        obstacles = readiness.obstacles()
        if not obstacles:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("".join(f"{line}\n" for line in obstacles), status_code=503)

    async def metrics(request: Request) -> Response:
        headers = request.headers
        answer = await page().answer(headers.get("accept", ""), headers.get("accept-encoding", ""))
        return Response(answer.body, headers=answer.headers)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )
