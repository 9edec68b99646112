"""Elsewhere: what a bound service has as `loaded`: its model lies in its replicas, not to be used from outside."""

from __future__ import annotations

from typing import Any, NoReturn

from headrace.errors import ServiceFailed


class Elsewhere:
    """Says so to whoever uses it: without it they would find None, and an error that names no cause."""

    def __init__(self, service: str) -> None:
        self._service = service

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ServiceFailed(
            f"{self._service}.loaded was used by a method that is not async: the model lies in the service's replicas.",
            remedy="Make that method async, and await it: then it runs where the model is.",
        )

    def __getattr__(self, name: str) -> Any:
        # Names with underscores are asked for by copies, debuggers and the like.
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    __call__ = __getitem__ = __iter__ = __len__ = __contains__ = _refuse
