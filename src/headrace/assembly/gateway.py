"""The gateway of a running platform: which routes it has. A new noun adds one line to `routes_of`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from headrace.assembly.candidates import RolloutOffice
from headrace.assembly.inference import VERSION, desk_of
from headrace.assembly.platform import Running
from headrace.assembly.webhooks import address_rules
from headrace.assembly.worker import release_now
from headrace.domain.report import QuarantinedInput
from headrace.errors import InvalidConfiguration
from headrace.gateway import (
    alerts,
    batches,
    decisions,
    deliveries,
    docs,
    endpoints,
    feedback,
    inference,
    jobs,
    keys,
    models,
    monitors,
    probes,
    quarantine,
    releases,
    replays,
    rollouts,
    webhooks,
)
from headrace.gateway.app import Authenticate, Bounds, Gateway, open_to_all
from headrace.gateway.auth import Keys, OpenHere, is_loopback
from headrace.gateway.place import Place
from headrace.gateway.preferences import choice_of_callers
from headrace.gateway.route import Route
from headrace.gateway.server import Server
from headrace.gateway.uploads import FRAMING_BYTES, Fetch, fetch_nothing
from headrace.jobs.unpacking import Bounds as UnpackingBounds
from headrace.serving.answered import Answered
from headrace.serving.context import Context
from headrace.serving.quota import Quota
from headrace.settings import ServerSettings, Settings

if TYPE_CHECKING:
    from headrace.gateway.grpc_server import GrpcServer


def routes_of(running: Running) -> list[Route]:
    """All calls; where only services live, those of the protocol and of operators."""
    nouns = [*_probes(running), *inference.routes(desk_of(running)), *(_nouns(running) if running.endpoints else ())]
    server = running.settings.server
    return [*nouns, *docs.routes(nouns, version=VERSION, needs_keys=needs_keys(server))]


def _probes(running: Running) -> list[Route]:
    async def exposition() -> bytes:
        return await running.siblings.exposition(running.metrics.exposition)

    return probes.routes(running.health, lambda: running.admission.is_draining, exposition, running.jobs.broker.state)


def _nouns(running: Running) -> list[Route]:
    settings = running.settings
    check = address_rules(settings).checked
    fetcher = _fetcher(settings)
    return [
        *endpoints.routes(
            list(running.endpoints.values()),
            upload_bytes=settings.limits.upload_bytes,
            budget_s=settings.limits.request_seconds,
            fetch=fetcher,
            choice=choice_of_callers(running.jobs.queue, check=check),
            quota=_quota(running),
        ),
        *decisions.routes(running.recorder, running.decisions, running.replayer),
        *replays.routes(running.replayer),
        *feedback.routes(running.recorder.find, running.stores.feedback),
        *releases.routes(running.stores.releases, lambda release_id: release_id in running.loaded),
        *models.routes(running.registry),
        *jobs.routes(running.jobs.queue, release_of=partial(release_now, running)),
        *batches.routes(running.jobs.batches, _intake(running, fetcher)),
        *webhooks.routes(running.jobs.webhooks, check=check),
        *deliveries.routes(running.jobs.webhooks),
        *keys.routes(running.keys),
        *rollouts.routes(running.rollouts.desk, _office(running).start, changed=running.rollouts.look_now),
        *monitors.routes(running.monitoring.reporter),
        *alerts.routes(running.monitoring.store),
        *quarantine.routes(running.monitoring.store, _release_by(running)),
    ]


def _quota(running: Running) -> Quota | None:
    a_minute = running.settings.limits.requests_per_minute
    return Quota(a_minute=a_minute, shared=running.siblings.quota) if a_minute else None


def _fetcher(settings: Settings) -> Fetch:
    hosts, private_hosts = settings.server.allowed_url_hosts, settings.server.allowed_private_url_hosts
    if not hosts and not private_hosts:
        return fetch_nothing
    # The client is slow to load, and few servers fetch.
    from headrace.gateway.fetching import Fetcher  # noqa: PLC0415

    return Fetcher(
        hosts=hosts,
        private_hosts=private_hosts,
        limit_bytes=settings.limits.upload_bytes,
        timeout_s=settings.limits.request_seconds,
    )


def _intake(running: Running, fetch: Fetch) -> batches.Intake:
    settings = running.settings
    return batches.Intake(
        endpoints=running.endpoints,
        folder=Path(settings.data) / "incoming",
        archive_bytes=settings.limits.archive_bytes,
        bounds=UnpackingBounds(
            members=batches.MOST_DOCUMENTS,
            member_bytes=settings.limits.upload_bytes,
            total_bytes=settings.limits.archive_bytes,
        ),
        fetch=fetch,
        check=address_rules(settings).checked,
    )


def _release_by(running: Running) -> Callable[[str], Awaitable[QuarantinedInput]]:
    """Lets an input out of quarantine: it is asked anew, and whatever the rules say of it, it is answered."""

    async def answered(kept: QuarantinedInput, question: object) -> Answered:
        budget_s = running.settings.limits.request_seconds
        context = Context(deadline=monotonic() + budget_s, tags=dict(kept.tags), is_released=True)
        endpoint = running.endpoints[kept.endpoint]
        return await endpoint.answer(question, context=context, input_digest=kept.input_digest or kept.digest)

    async def release(kept_id: str) -> QuarantinedInput:
        return await running.monitoring.door.release(kept_id, answered)

    return release


def needs_keys(server: ServerSettings) -> bool:
    """Whether callers have to name a key."""
    return server.auth == "keys" or (server.auth == "auto" and not is_loopback(server.host))


def _office(running: Running) -> RolloutOffice:
    rolled = running.rollouts
    return RolloutOffice(rolled.desk, running.planner, rolled.store, running.stores.releases)


def gateway_of(running: Running) -> Gateway:
    """The application that answers HTTP."""
    limits = running.settings.limits
    return Gateway(
        routes_of(running),
        metrics=running.metrics,
        tell=running.tell,
        bounds=Bounds(body_bytes=limits.upload_bytes + FRAMING_BYTES, read_s=limits.request_seconds),
        authenticate=_authenticate(running),
        spans=running.spans,
    )


def _authenticate(running: Running) -> Authenticate:
    server = running.settings.server
    if needs_keys(server):
        return Keys(running.keys)
    return OpenHere() if is_loopback(server.host) and server.auth == "auto" else open_to_all


async def serve(running: Running) -> None:
    """The role `gateway`: answers over HTTP until it is cancelled, then lets what came in end."""
    settings = running.settings.server
    if needs_keys(settings) and not await asyncio.to_thread(running.keys.listed):
        running.tell("no_keys_yet", {"remedy": "Callers need an API key: headrace keys create."})
    gateway = gateway_of(running)
    siblings = running.siblings
    place = siblings.place or Place(settings.host, settings.port)
    server, beside = Server(gateway, place, seat=siblings.seat), _grpc_server(gateway, running.settings)
    await server.start()
    if beside is not None:
        await beside.start()
    running.tell("serving", {"host": settings.host, "port": settings.port})
    running.serving.set()
    try:
        await asyncio.Event().wait()
    finally:
        if beside is not None:
            await beside.stop(within_s=settings.drain_s)
        is_over = await server.stop(within_s=settings.drain_s)
        running.tell("drained" if is_over else "drain_given_up", {})


def _grpc_server(gateway: Gateway, settings: Settings) -> GrpcServer | None:
    if not settings.server.grpc_port:
        return None
    try:
        from headrace.gateway.grpc_server import GrpcServer  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InvalidConfiguration(
            f"[server] grpc_port is {settings.server.grpc_port}, and gRPC is not installed.",
            remedy="Install it: pip install 'headrace[grpc]'.",
        ) from error
    limit = settings.limits.upload_bytes + FRAMING_BYTES
    return GrpcServer(gateway, host=settings.server.host, port=settings.server.grpc_port, body_bytes=limit)
