"""Sweeper: finds attempts whose worker has fallen silent, and sends their jobs round again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from time import monotonic

from headrace.domain.job import Job, LeaseLost, RetryPolicy
from headrace.domain.stores import JobStore, Lease
from headrace.errors import HeadraceError
from headrace.jobs.job_queue import utc_now

EVERY_S = 1.0


class Sweeper:
    """Holds a lease to have lapsed when it has not changed for `lease_s` on this process's own monotonic clock.

    The moment that is written in the lease is no more than a value that changes: so no clock that is wrong, or was set,
    takes a job away from a worker that lives, or leaves one with a worker that died.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        lease_s: float,
        policy: RetryPolicy,
        on_lapse: Callable[[Job], None] = lambda _: None,
        on_failure: Callable[[HeadraceError], None] = lambda _: None,
        clock: Callable[[], datetime] = utc_now,
        ticking: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._lease_s = lease_s
        self._policy = policy
        self._on_lapse = on_lapse
        self._on_failure = on_failure
        self._clock = clock
        self._ticking = ticking
        self._seen: dict[tuple[str, int], tuple[datetime, float]] = {}

    async def run(self) -> None:
        """Until it is cancelled; what fails is told of and tried again."""
        while True:
            try:
                await self.sweep()
            except HeadraceError as failure:
                self._on_failure(failure)
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> list[Job]:
        """One look at all leases; the jobs that were sent round, or given up."""
        leases = await self._store.leases()
        now = self._ticking()
        fresh: dict[tuple[str, int], tuple[datetime, float]] = {}
        silent: list[Lease] = []
        for lease in leases:
            key = (lease.job_id, lease.number)
            until, since = self._seen.get(key, (lease.until, now))
            fresh[key] = (lease.until, since if until == lease.until else now)
            if now - fresh[key][1] >= self._lease_s:
                silent.append(lease)
        self._seen = fresh
        outcomes = await asyncio.gather(*(self._lapse(lease) for lease in silent))
        return [job for job in outcomes if job is not None]

    async def _lapse(self, lease: Lease) -> Job | None:
        # Nobody saw how it ended: even a job that was alone may have been switched off together with its machine.
        evidence = f"Its worker {lease.worker} has been silent for {self._lease_s:g} s."
        try:
            job = await self._store.lapse(
                lease.job_id, lease.number, now=self._clock(), policy=self._policy, alone=False, evidence=evidence
            )
        except LeaseLost:
            # It ended in this very moment, or another sweeper was quicker.
            return None
        self._on_lapse(job)
        return job
