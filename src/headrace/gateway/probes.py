"""What operators and their machines ask: does it live, is it ready, and the metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route
from headrace.serving.runtime import Health, ReplicaState

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
TAG = "operation"


class ServiceState(msgspec.Struct):
    """How the replicas of one service are."""

    state: str
    replicas: int
    queued: int


class Readiness(msgspec.Struct):
    """Whether all services are warm, and how each of them is.

    `broker` is "embedded", "healthy" or "away"; one that is away delays jobs and keeps nobody from submitting.
    """

    ready: bool
    services: dict[str, ServiceState]
    broker: str = "embedded"


ALIVE = Operation("Does the process live", TAG, gives={200: Content({"type": "object"}, example={"alive": True})})
READY = Operation(
    "Is every service warm",
    TAG,
    gives={200: Content(Readiness), 503: Content(Readiness)},
)
METRICS = Operation("Metrics in the Prometheus text format", TAG, gives={200: Content(str, media_type="text/plain")})


def routes(
    health: Callable[[], Mapping[str, Health]],
    is_draining: Callable[[], bool],
    exposition: Callable[[], Awaitable[bytes]],
    broker: Callable[[], Awaitable[str]],
) -> list[Route]:
    """`exposition` are the metrics of all processes of this server, `broker` how the broker is."""

    def state() -> Readiness:
        services = {name: ServiceState(each.state.value, each.replicas, each.queued) for name, each in health().items()}
        warm = all(each.state == ReplicaState.READY and each.replicas for each in services.values())
        return Readiness(ready=warm and not is_draining(), services=services)

    async def alive(_request: Request) -> Response:
        return json_response({"alive": True})

    async def ready(_request: Request) -> Response:
        now = msgspec.structs.replace(state(), broker=await broker())
        return json_response(now, status=200 if now.ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(await exposition(), media_type=EXPOSITION)

    return [
        Route("GET", "/livez", alive, ALIVE, access=Access.OPEN),
        Route("GET", "/startupz", alive, ALIVE, access=Access.OPEN),
        Route("GET", "/readyz", ready, READY, access=Access.OPEN),
        Route("GET", "/metrics", metrics, METRICS),
    ]
