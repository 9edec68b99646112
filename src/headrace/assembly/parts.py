"""Part: one service of a platform before it lives, with its options and bounds from the settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any

import msgspec

from headrace.domain.release import Release
from headrace.errors import InvalidConfiguration
from headrace.serving.admission import Admission
from headrace.serving.concurrency_limit import ConcurrencyLimit
from headrace.serving.cores import usable_cores
from headrace.serving.pipeline import check_is_made_without_arguments, services_of
from headrace.serving.service import Guard, Rung, Service
from headrace.serving.shared_work import Shelf
from headrace.serving.turns import Turns
from headrace.settings import LimitSettings, ReplicaSettings, Settings, checked, size_bytes

LEAST_A_CORE, START_A_CORE, MOST_A_CORE = 2, 32, 1024
MOST_REPLICAS = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One service of the platform before it lives: the instances that pipelines hold, its options and its bounds."""

    name: str
    bound: tuple[Service, ...]
    options: Any
    replicas: int
    memory_bytes: int | None
    wall_s: float
    rungs: Mapping[str, tuple[Rung, ...]] = field(default_factory=dict)
    timeout_s: float | None = None
    url: str = ""
    key: str = ""
    bounds: tuple[int, int] | None = None

    @property
    def kind(self) -> type[Service]:
        """The author's class."""
        return type(self.bound[0])

    def made(self, options: Any, shelf: Shelf) -> Service:
        """A fresh instance with `options`, whose replicas share what lies on `shelf`."""
        service = self.kind()
        service.options = options
        service.shelf = shelf
        return service

    def options_of(self, release: Release) -> Any:
        """The options that `release` says, with what is no part of a release as it is on this platform."""
        if not is_dataclass(self.options) or isinstance(self.options, type):
            return self.options
        shown = release.settings.get(self.name, {})
        return checked(
            _merged(msgspec.to_builtins(self.options), shown, self.options), type(self.options), at=self.name
        )

    @property
    def has_standby(self) -> bool:
        """Whether one of its lesser ways lives apart from its replicas."""
        return any(rung.on_standby for rungs in self.rungs.values() for rung in rungs)

    def guard(self) -> Guard | None:
        """The author's bounds, with what the operator says of time and memory."""
        guard = self.kind.guard
        if guard is None:
            return None
        return replace(
            guard,
            wall_s=self.wall_s if guard.wall_s is None else guard.wall_s,
            memory_bytes=guard.memory_bytes if self.memory_bytes is None else self.memory_bytes,
        )


def parts_of(
    instances: Sequence[object], settings: Settings, *, only: Collection[str] | None = None
) -> dict[str, Part]:
    """The services of all pipelines by attribute name; two that share a name and a class share their replicas.

    Those in `only` live in this process: it is the host that their `url` means, where all hosts have the same settings.
    """
    found: dict[str, list[Service]] = {}
    for instance in instances:
        for name, services in services_of(instance).items():
            same = found.setdefault(name, [])
            same += services
            if any(type(each) is not type(same[0]) for each in services):
                raise InvalidConfiguration(
                    f"Two pipelines hold different services under the name {name!r}.",
                    remedy="Rename one: settings and metrics go by the name.",
                )
            check_is_made_without_arguments(type(same[0]))
    for name in settings.services:
        if name not in found:
            raise _unknown(f"[services] {name!r} is no service of this platform", name, found)
    parts = {name: _part(name, services, settings) for name, services in found.items()}
    return parts | {name: replace(parts[name], url="") for name in only or () if name in parts}


def _part(name: str, services: Sequence[Service], settings: Settings) -> Part:
    table = settings.services.get(name, {})
    default = services[0].options
    own = {each.name for each in fields(default)} if is_dataclass(default) else set()
    general = {each.name for each in msgspec.structs.fields(ReplicaSettings)} - own
    for key in table:
        if key not in own | general:
            raise _unknown(f"[services.{name}] {key!r} is no known setting", key, own | general)
    where = f"services.{name}"
    bounds = checked({key: value for key, value in table.items() if key in general}, ReplicaSettings, at=where)
    options = default
    if is_dataclass(default) and not isinstance(default, type):
        given = {key: value for key, value in table.items() if key in own}
        preset = _merged(msgspec.to_builtins(default), _limits(default, settings.limits), default)
        options = checked(_merged(preset, given, default), type(default), at=where)
    return Part(
        name=name,
        bound=tuple(services),
        options=options,
        replicas=_replicas(bounds.replicas, where)[1],
        bounds=_replicas(bounds.replicas, where),
        memory_bytes=size_bytes(bounds.memory) if bounds.memory else None,
        wall_s=settings.limits.document_seconds,
        rungs=_rungs(type(services[0]), bounds.fallback, where),
        timeout_s=bounds.timeout_s,
        url=bounds.host or bounds.url,
        key=bounds.key,
    )


def _rungs(kind: type[Service], chosen: Sequence[str] | None, where: str) -> dict[str, tuple[Rung, ...]]:
    """The lesser ways of each method, in the operator's order or the author's."""
    if chosen is None:
        return dict(kind.ladders)
    known = {rung.name for rungs in kind.ladders.values() for rung in rungs}
    for name in chosen:
        if name not in known:
            raise _unknown(f"[{where}] fallback: {name!r} is no lesser way of {kind.__name__}", name, known)
    return {
        method: tuple(rung for name in chosen for rung in rungs if rung.name == name)
        for method, rungs in kind.ladders.items()
    }


def _limits(options: Any, limits: LimitSettings) -> dict[str, Any]:
    """The options whose fields say `metadata={"limit": "pages"}`: they follow `[limits] pages`."""
    found: dict[str, Any] = {}
    for each in fields(options):
        value = getattr(options, each.name)
        if "limit" in each.metadata:
            found[each.name] = getattr(limits, each.metadata["limit"])
        elif is_dataclass(value):
            found[each.name] = _limits(value, limits)
    return found


def _merged(base: Any, over: Mapping[str, Any], options: Any) -> dict[str, Any]:
    """`base`, the values of `options`, with those of `over`. Options within options keep what `over` does not name.

    A mapping is one value: who names two labels wants these two, and not the usual ones besides.
    """
    merged = dict(base)
    for key, value in over.items():
        inner = getattr(options, key, None)
        is_section = is_dataclass(inner) and isinstance(value, Mapping)
        merged[key] = _merged(merged[key], value, inner) if is_section else value
    return merged


def _unknown(claim: str, key: str, known: Any) -> InvalidConfiguration:
    near = get_close_matches(key, sorted(known), n=1, cutoff=0.0)
    return InvalidConfiguration(f"{claim}.", remedy=f"Did you mean {near[0]!r}?" if near else "It has none.")


def _replicas(replicas: str | int, where: str) -> tuple[int, int]:
    """The least and the most replicas: of "auto" 1 and one a core, of "2..6" 2 and 6, of 3 twice 3."""
    if replicas == "auto":
        return 1, min(MOST_REPLICAS, usable_cores())
    least, dots, most = str(replicas).partition("..")
    bounds = _count(least, where), _count(most if dots else least, where)
    if bounds[0] > bounds[1]:
        raise InvalidConfiguration(f"[{where}] replicas = {replicas!r} has more at least than at most.")
    return bounds


def _count(replicas: str | int, where: str) -> int:
    if replicas == "auto":
        return min(MOST_REPLICAS, usable_cores())
    if not str(replicas).isdecimal() or int(replicas) < 1:
        raise InvalidConfiguration(
            f"[{where}] replicas = {replicas!r} is no number of replicas.", remedy='Write "auto", or 1 or more.'
        )
    return int(replicas)


def admission_of(limits: LimitSettings, turns: Turns | None) -> Admission:
    """How many questions are answered at once: as many as the operator says, or as is learned."""
    if limits.inflight != "auto":
        return Admission(bound=_count(limits.inflight, "limits"))
    cores = usable_cores()
    limit = ConcurrencyLimit(least=LEAST_A_CORE * cores, start=START_A_CORE * cores, most=MOST_A_CORE * cores)
    return Admission(limit=limit, turns=turns)
