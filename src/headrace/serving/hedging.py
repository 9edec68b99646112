"""Hedged: asks a remote service a second time when the first answer is late, and takes whichever comes first."""

from __future__ import annotations

import asyncio
from time import monotonic

from msgspec.structs import replace

from headrace.errors import HeadraceError
from headrace.serving.context import Context
from headrace.serving.runtime import Health, Replicas, Reply
from headrace.serving.service import Method
from headrace.serving.service_time import ServiceTime

SHARE = 0.05
MOST_SAVED = 5.0
LEARNED_AFTER = 20
LEAST_DELAY_S = 0.005


class Hedged:
    """Keeps the promise of `replicas`, and cuts off the tail of their answers.

    After Dean and Barroso, The Tail at Scale (2013): the second call is made when the first has taken longer than calls
    of its method seldom do. Such calls are at most a twentieth of all, so hedging never adds noticeably to a load; the
    one that comes second is cancelled.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._times: dict[str, ServiceTime] = {}
        self._saved = MOST_SAVED
        self.hedges = 0

    async def start(self) -> None:
        """As the replicas do."""
        await self._replicas.start()

    async def close(self) -> None:
        """As the replicas do."""
        await self._replicas.close()

    def health(self) -> Health:
        """As the replicas are."""
        return self._replicas.health()

    async def ask(self, method: Method, question: object, context: Context) -> Reply:
        """The first answer of one call or two; raises what the last of them raised."""
        time = self._times.setdefault(method.name, ServiceTime())
        self._saved = min(MOST_SAVED, self._saved + SHARE)
        begun = monotonic()
        if time.count < LEARNED_AFTER:
            reply = await self._replicas.ask(method, question, context)
        else:
            reply = await self._raced(method, question, context, delay_s=max(LEAST_DELAY_S, time.bound_s))
        time.learn(monotonic() - begun)
        return reply

    async def _raced(self, method: Method, question: object, context: Context, *, delay_s: float) -> Reply:
        attempts = [replace(context, degraded=[]) for _ in range(2)]
        running: dict[asyncio.Future[Reply], Context] = {}
        running[asyncio.ensure_future(self._replicas.ask(method, question, attempts[0]))] = attempts[0]
        try:
            done, _ = await asyncio.wait(running, timeout=delay_s)
            if not done and self._saved >= 1:
                self._saved -= 1
                self.hedges += 1
                running[asyncio.ensure_future(self._replicas.ask(method, question, attempts[1]))] = attempts[1]
            return await self._first(running, context)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _first(self, running: dict[asyncio.Future[Reply], Context], context: Context) -> Reply:
        left = set(running)
        while True:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failure = task.exception()
                if failure is None:
                    context.degraded.extend(running[task].degraded)
                    return task.result()
                # A wrong question is wrong everywhere; any other failure may be the one host's alone.
                if not left or not (isinstance(failure, HeadraceError) and failure.retryable):
                    raise failure
