"""Preload: what is loaded before the processes of a server are forked, and then lies in memory once for all."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Collection
from contextlib import suppress

from headrace.assembly.parts import parts_of
from headrace.assembly.platform import Platform
from headrace.assembly.pools import unheard
from headrace.assembly.registry import opened_registry
from headrace.assembly.releases import Planner
from headrace.serving.service import Service
from headrace.serving.shared_work import Shelf
from headrace.settings import Settings


class Preload:
    """The shelf that all processes begin with, and the services that keep alive what lies on it until they have begun.

    Only services whose authors say that they may be `preloaded` are loaded here: memory and files go over a fork
    unharmed, and threads and devices do not.
    """

    def __init__(self, platform: Platform, settings: Settings, *, only: Collection[str] | None) -> None:
        self.shelf = Shelf(bound_bytes=settings.cache_bytes)
        self._services: list[Service] = []
        instances = [pipeline() for pipeline in platform.pipelines]
        parts = parts_of(instances, settings, only=only)
        wanted = {
            name
            for name, part in parts.items()
            if part.kind.preloaded and not part.url and part.guard() is None and (only is None or name in only)
        }
        if not wanted:
            return
        planner = Planner.of(instances, parts, opened_registry(settings), unheard, self.shelf)
        for pipeline in planner.instances:
            for service in planner.made(planner.champion(pipeline), only=wanted).values():
                self._services.append(service)

    def let_go(self) -> None:
        """From now on a part lives as long as somebody answers with it."""
        self._services.clear()


def settled() -> None:
    """To be called right before forking: what lives now is left alone by collections, and so its pages stay shared."""
    gc.collect()
    if sys.platform == "linux":
        # What imports and loading needed for a moment lies scattered in the heap, and every process would copy it.
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
    gc.freeze()
