"""The roles that a process may take: each is a name and an async function of the running platform.

A role runs until it is cancelled, and may clean up then. Roles are ended in the reverse of the order in which they
stand here, so what takes in work stands last. A new role adds one line to `ROLES`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from headrace.assembly.ceiling import ceiling_of, keep_below
from headrace.assembly.control import control
from headrace.assembly.gateway import serve
from headrace.assembly.platform import Platform, Running
from headrace.assembly.pools import Tell
from headrace.assembly.siblings import Siblings
from headrace.assembly.worker import work
from headrace.errors import HeadraceError, InvalidInput, ServiceFailed
from headrace.serving.shared_work import Shelf
from headrace.settings import Settings

YOUNG_OBJECTS = 20_000
SWITCH_S = 0.001

Role = Callable[[Running], Awaitable[None]]

GATEWAY = "gateway"
ROLES: Mapping[str, Role] = MappingProxyType({"control": control, "worker": work, GATEWAY: serve})

SERVICE = "service:"
"""`service:NAME` is the role of a process in which that service lives alone, asked over `/v2`."""


def checked_roles(names: Sequence[str]) -> tuple[str, ...]:
    """`names` in the order of `ROLES`; all of them when none is named.

    Raises:
        InvalidInput: one is unknown, or a service is to live alone and beside other roles.
    """
    services = tuple(name for name in names if name.startswith(SERVICE) and name != SERVICE)
    for name in names:
        if name not in ROLES and name not in services:
            known = ", ".join([*ROLES, f"{SERVICE}NAME"])
            raise InvalidInput(f"There is no role {name!r}.", remedy=f"The roles are {known}.")
    if services and len(services) < len(names):
        raise InvalidInput(f"{services[0]} lives alone.", remedy="Start the other roles by a command of their own.")
    return services or tuple(name for name in ROLES if not names or name in names)


def services_in(roles: Sequence[str]) -> set[str] | None:
    """The services that live alone by these roles; None when none does."""
    return {name.removeprefix(SERVICE) for name in roles if name.startswith(SERVICE)} or None


async def run_roles(
    platform: Platform,
    settings: Settings,
    names: Sequence[str],
    *,
    tell: Tell,
    stop: asyncio.Event,
    ready: Callable[[], None],
    relieve: Callable[[], None] | None = None,
    siblings: Siblings | None = None,
    shelf: Shelf | None = None,
) -> None:
    """Runs the platform with the roles `names` until `stop` is set, then ends them one after the other.

    `ready` is called once all of them do their work, `relieve` when the process holds more memory than it may; `shelf`
    has what was loaded already.

    Raises:
        HeadraceError: the platform did not start, or a role ended by itself.
    """
    roles = checked_roles(names)
    only = services_in(roles)
    async with platform.running(settings, tell=tell, siblings=siblings, only=only, shelf=shelf) as running:
        works = {GATEWAY: serve} if only else {name: ROLES[name] for name in roles}
        tasks = {name: asyncio.ensure_future(work(running)) for name, work in works.items()}
        telling = asyncio.create_task(_tell_ready(running, tasks, ready, relieve))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        telling.cancel()
        ended = [name for name, task in tasks.items() if task.done()]
        for task in reversed(tasks.values()):
            task.cancel()
            await asyncio.wait({task})
        for name in ended:
            cause = None if tasks[name].cancelled() else tasks[name].exception()
            if isinstance(cause, HeadraceError):
                raise cause
            why = "." if cause is None else f": {cause!r}."
            raise ServiceFailed(f"The role {name} ended by itself{why}") from cause


async def _tell_ready(
    running: Running,
    tasks: Mapping[str, asyncio.Future[None]],
    ready: Callable[[], None],
    relieve: Callable[[], None] | None,
) -> None:
    if GATEWAY in tasks:
        await running.serving.wait()
    # What lives now lives as long as the process: collections need not look at it again, and with a few hundred short
    # lived objects an answer the usual threshold has one run at every other.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    # A thread that records or parses may keep the event loop from the interpreter for this long, each time.
    sys.setswitchinterval(SWITCH_S)
    ready()
    if relieve is not None and (ceiling := ceiling_of(running)) is not None:
        await keep_below(running, ceiling, relieve=relieve)
