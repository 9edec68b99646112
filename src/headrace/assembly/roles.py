"""The roles that a process may take: each is a name and an async function of the running platform.

A role runs until it is cancelled, and may clean up then. Roles are ended in the reverse of the order in which they
stand here, so what takes in work stands last. A new role adds one line to `ROLES`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from headrace.assembly.control import control
from headrace.assembly.gateway import serve
from headrace.assembly.platform import Platform, Running
from headrace.assembly.pools import Tell
from headrace.assembly.siblings import Siblings
from headrace.assembly.worker import work
from headrace.errors import InvalidInput, ServiceFailed
from headrace.settings import Settings

Role = Callable[[Running], Awaitable[None]]

ROLES: Mapping[str, Role] = MappingProxyType({"control": control, "worker": work, "gateway": serve})


def checked_roles(names: Sequence[str]) -> tuple[str, ...]:
    """`names` in the order of `ROLES`; all of them when none is named. Raises `InvalidInput` for an unknown one."""
    for name in names:
        if name not in ROLES:
            raise InvalidInput(f"There is no role {name!r}.", remedy=f"The roles are {', '.join(ROLES)}.")
    return tuple(name for name in ROLES if not names or name in names)


async def run_roles(
    platform: Platform,
    settings: Settings,
    names: Sequence[str],
    *,
    tell: Tell,
    stop: asyncio.Event,
    ready: Callable[[], None],
    siblings: Siblings | None = None,
) -> None:
    """Runs the platform with the roles `names` until `stop` is set, then ends them one after the other.

    `ready` is called once all of them do their work.

    Raises:
        HeadraceError: the platform did not start, or a role ended by itself.
    """
    async with platform.running(settings, tell=tell, siblings=siblings) as running:
        tasks = {name: asyncio.ensure_future(ROLES[name](running)) for name in checked_roles(names)}
        telling = asyncio.create_task(_tell_ready(running, tasks, ready))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        telling.cancel()
        ended = [name for name, task in tasks.items() if task.done()]
        for task in reversed(tasks.values()):
            task.cancel()
            await asyncio.wait({task})
        for name in ended:
            raise ServiceFailed(f"The role {name} ended by itself.") from tasks[name].exception()


async def _tell_ready(running: Running, tasks: Mapping[str, asyncio.Future[None]], ready: Callable[[], None]) -> None:
    if "gateway" in tasks:
        await running.serving.wait()
    ready()
