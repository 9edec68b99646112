"""The Open Inference Protocol face of a platform: which services it offers there, with which methods."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.metadata import version

from headrace.assembly.platform import Running
from headrace.gateway.inference import Desk, Offer
from headrace.serving.context import Context
from headrace.serving.inference import Face, face_of

VERSION = version("headrace")
"""Of what is installed. Finding it takes a while: it is done once, before processes are forked."""


def desk_of(running: Running) -> Desk:
    """Every service that lives here."""

    def admitted(_context: Context) -> AbstractContextManager[None]:
        return running.admission.admitted()

    return Desk(
        offers={name: Offer(name, service, _faces(running, name)) for name, service in running.services.items()},
        admitted=admitted,
        budget_s=running.settings.limits.request_seconds,
        version=VERSION,
    )


def _faces(running: Running, name: str) -> dict[str, Face]:
    """The methods of a service in the order in which they are written, then those of its lesser ways."""
    part = running.planner.parts[name]
    lesser = {rung.method.name: rung.method for rungs in part.rungs.values() for rung in rungs}
    return {each: face_of(method) for each, method in (dict(part.kind.methods) | lesser).items()}
