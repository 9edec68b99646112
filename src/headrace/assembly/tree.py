"""Tree: which processes a server has, and what each of them does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from headrace.assembly.loop import loop_factory
from headrace.assembly.platform import Platform
from headrace.assembly.pools import Tell
from headrace.assembly.preload import Preload, settled
from headrace.assembly.roles import SERVICE, checked_roles, run_roles, services_in
from headrace.assembly.siblings import Siblings
from headrace.assembly.stores import upgrade_store
from headrace.assembly.supervisor import Member, Supervisor, Voice
from headrace.errors import HeadraceError, InvalidConfiguration
from headrace.gateway.place import Place
from headrace.serving.cores import usable_cores
from headrace.settings import Settings

GRACE_S = 15.0
"""Beyond the time for draining: what parts may take to close."""

MOST_PROCESSES = 256
WORKER = "worker"

OnError = Callable[[HeadraceError], None]


def supervised(
    platform: Platform, settings: Settings, names: Sequence[str], *, place: Place, tell: Tell, on_error: OnError
) -> int:
    """Serves at `place` with the roles `names` until it is told to stop; the exit code.

    Jobs run in a process of their own; `[server] processes` answer HTTP, one of which takes the other roles as well.
    `on_error` is told, in the process that failed, what a person should read. The store is brought up to date first.
    """
    roles = checked_roles(names)
    shares = _shares(roles, _count(settings.server.processes))
    # The one waits for the disc while the other computes; no thread is left when the members are forked.
    with ThreadPoolExecutor(1) as aside:
        upgraded = aside.submit(upgrade_store, settings)
        preload = Preload(platform, settings, only=services_in(roles))
    upgraded.result()
    place.seat(len(shares))
    siblings = Siblings.founded(cores=usable_cores(), place=place)
    try:
        life = _Life(platform, settings, preload, tell=tell, on_error=on_error, siblings=siblings, parent=os.getpid())
        members = [
            Member(name, partial(life.lived, share, number), waits=name == WORKER and len(shares) > 1)
            for number, (name, share) in enumerate(shares)
        ]
        settled()
        grace_s = settings.server.drain_s + GRACE_S
        # Who comes when it is over is turned away at once: the socket ends with the last process that has it.
        return Supervisor(members, tell=tell, grace_s=grace_s, on_stop=place.close).run()
    finally:
        siblings.remove()


def _count(processes: str | int) -> int:
    if processes == "auto":
        return usable_cores()
    if not str(processes).isdecimal() or not 1 <= int(processes) <= MOST_PROCESSES:
        raise InvalidConfiguration(
            f"[server] processes = {processes!r} is no number of processes.",
            remedy=f'Write "auto", or 1 to {MOST_PROCESSES}.',
        )
    return int(processes)


def _shares(roles: Sequence[str], processes: int) -> list[tuple[str, tuple[str, ...]]]:
    """Who takes which roles. Jobs run apart from what answers HTTP: a document may end the process that reads it."""
    if roles[0].startswith(SERVICE):
        return [(f"service-{number}", tuple(roles)) for number in range(processes)]
    others = tuple(role for role in roles if role != WORKER)
    workers: list[tuple[str, tuple[str, ...]]] = [(WORKER, (WORKER,))] if WORKER in roles else []
    if not others:
        return workers
    if "gateway" not in others or processes == 1:
        return [("server", others), *workers]
    # One of those that answer takes the rest as well: it is light, and a process of its own would load all models.
    more: list[tuple[str, tuple[str, ...]]] = [(f"gateway-{number}", ("gateway",)) for number in range(1, processes)]
    return [("gateway-0", others), *more, *workers]


@dataclass(frozen=True, slots=True)
class _Life:
    """What the processes of one server have in common."""

    platform: Platform
    settings: Settings
    preload: Preload
    tell: Tell
    on_error: OnError
    siblings: Siblings
    parent: int

    def lived(self, roles: Sequence[str], number: int, voice: Voice) -> int:
        """The life of one process; its exit code."""
        self.siblings.seat = number
        if set(roles) == {WORKER} and self.siblings.place is not None:
            self.siblings.place.close()
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._until_told(roles, voice))
        except HeadraceError as error:
            self.on_error(error)
            return 1
        finally:
            # A parent that was killed removes nothing.
            if os.getppid() != self.parent:
                self.siblings.remove()
        return 0

    async def _until_told(self, roles: Sequence[str], voice: Voice) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        def begun() -> None:
            self.preload.let_go()
            voice.ready()

        await run_roles(
            self.platform,
            self.settings,
            roles,
            tell=self.tell,
            stop=stop,
            ready=begun,
            relieve=voice.wants_relief,
            siblings=self.siblings.out_of_turn() if set(roles) == {WORKER} else self.siblings,
            shelf=self.preload.shelf,
        )
