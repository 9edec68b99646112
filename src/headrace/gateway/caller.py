"""Caller: who calls, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Access(IntEnum):
    """What a route asks of its caller; a higher one includes the lower ones. `OPEN` asks for nothing at all."""

    OPEN = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the id of their key, empty without one, and the most they may do."""

    id: str
    access: Access


ANYONE = Caller(id="", access=Access.ADMIN)
"""On a server that is open: whoever reaches it may do all."""
