"""The gateway of a running platform: which routes it has. A new noun adds one line to `routes_of`."""

from __future__ import annotations

import asyncio

from headrace.assembly.platform import Running
from headrace.assembly.webhooks import address_rules
from headrace.gateway import decisions, deliveries, endpoints, jobs, probes, webhooks
from headrace.gateway.app import Bounds, Gateway
from headrace.gateway.preferences import answering_by_preference
from headrace.gateway.route import Route
from headrace.gateway.server import Server
from headrace.gateway.uploads import FRAMING_BYTES, nothing_is_fetched


def routes_of(running: Running) -> list[Route]:
    """All calls."""
    limits = running.settings.limits
    check = address_rules(running.settings).checked

    async def exposition() -> bytes:
        return await running.siblings.exposition(running.metrics.exposition)

    return [
        *probes.routes(running.health, lambda: running.admission.is_draining, exposition),
        *endpoints.routes(
            list(running.endpoints.values()),
            upload_bytes=limits.upload_bytes,
            budget_s=limits.request_seconds,
            fetch=nothing_is_fetched,
            answering=answering_by_preference(running.jobs.queue, check=check),
        ),
        *decisions.routes(running.recorder, running.decisions),
        *jobs.routes(running.jobs.queue),
        *webhooks.routes(running.jobs.webhooks, check=check),
        *deliveries.routes(running.jobs.webhooks),
    ]


def gateway_of(running: Running) -> Gateway:
    """The application that answers HTTP."""
    limits = running.settings.limits
    bounds = Bounds(body_bytes=limits.upload_bytes + FRAMING_BYTES, read_s=limits.request_seconds)
    return Gateway(routes_of(running), metrics=running.metrics, tell=running.tell, bounds=bounds)


async def serve(running: Running) -> None:
    """The role `gateway`: answers over HTTP until it is cancelled, then lets what came in end."""
    server_settings = running.settings.server
    server = Server(gateway_of(running), host=server_settings.host, port=server_settings.port)
    await server.start()
    running.tell("serving", {"host": server_settings.host, "port": server_settings.port})
    running.serving.set()
    try:
        await asyncio.Event().wait()
    finally:
        is_over = await server.stop(within_s=server_settings.drain_s)
        running.tell("drained" if is_over else "drain_given_up", {})
