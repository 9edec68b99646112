"""Replicas on another host for tests: a real gateway on a port of this machine, and the remote runtime that asks it."""

from __future__ import annotations

from contextlib import nullcontext

from headrace.gateway.app import Bounds, Gateway
from headrace.gateway.inference import Desk, Offer, routes
from headrace.gateway.place import Place
from headrace.gateway.server import Server
from headrace.serving.inference import face_of
from headrace.serving.pool import Pool
from headrace.serving.runtimes.remote import RemoteReplicas
from headrace.telemetry import Metrics


class Distant:
    """Keeps the promise of replicas: each of `built` lives behind a server of its own."""

    def __init__(self, kind, built, *, queue_bound) -> None:
        self._pools = [Pool("echo", each, model=None) for each in built]
        self._places = [Place("127.0.0.1", 0) for _ in built]
        faces = {name: face_of(method) for name, method in kind.methods.items()}
        self._servers = [
            Server(_gateway(Offer("echo", pool, faces)), place)
            for pool, place in zip(self._pools, self._places, strict=True)
        ]
        urls = [place.url for place in self._places]
        self.replicas = RemoteReplicas(urls, "echo", kind.methods, at_once=queue_bound)
        self.ask = self.replicas.ask
        self.health = self.replicas.health

    async def start(self) -> None:
        for pool, server in zip(self._pools, self._servers, strict=True):
            await pool.start()
            await server.start()
        await self.replicas.start()

    async def close(self) -> None:
        await self.replicas.close()
        for pool, server, place in zip(self._pools, self._servers, self._places, strict=True):
            await server.stop(within_s=30)
            await pool.close()
            place.close()


def _gateway(offer):
    desk = Desk({offer.name: offer}, lambda _context: nullcontext(), budget_s=60.0, version="0")
    return Gateway(routes(desk), metrics=Metrics(), tell=lambda _event, _facts: None, bounds=Bounds())
