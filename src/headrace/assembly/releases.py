"""The releases of this platform: what decides about the answers of a pipeline, and how one that is named is served."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from headrace.assembly.parts import Part, parts_of
from headrace.assembly.pools import Tell, pool_of, unheard
from headrace.assembly.registry import opened_registry
from headrace.domain.model import CHAMPION, ModelVersion
from headrace.domain.release import Release, ReleaseRecord, reference_of
from headrace.errors import InvalidConfiguration, NotFound
from headrace.registry.provenance import working_copy
from headrace.registry.registry import ModelRegistry
from headrace.serving.pipeline import instance_of, kebab, services_of
from headrace.serving.pool import Pool
from headrace.serving.releases import PlannedPool
from headrace.serving.service import Service
from headrace.serving.shared_work import Shelf
from headrace.serving.sources import digest_of_sources
from headrace.serving.turns import Turns
from headrace.settings import Settings


@dataclass(frozen=True, slots=True)
class Planner:
    """Names releases and plans their pools, from the parts of this platform and the models of its registry."""

    instances: Mapping[str, object]
    parts: Mapping[str, Part]
    registry: ModelRegistry
    shelf: Shelf
    tell: Tell
    turns: Turns | None = None

    @classmethod
    def of(
        cls,
        instances: Iterable[object],
        parts: Mapping[str, Part],
        registry: ModelRegistry,
        tell: Tell,
        shelf: Shelf,
        *,
        turns: Turns | None = None,
    ) -> Planner:
        """For the pipelines that `instances` are."""
        return cls({kebab(type(each).__name__): each for each in instances}, parts, registry, shelf, tell, turns)

    def champion(self, pipeline: str) -> Release:
        """The release made of the champions of all models. Blocking."""
        return self.release(pipeline, {})

    def release(self, pipeline: str, versions: Mapping[str, ModelVersion]) -> Release:
        """What answers with the champion of each model, or the version that `versions` has under the model's name.

        Every option stands in it that is not hidden by `repr=False`. Blocking.

        Raises:
            InvalidConfiguration: a version does not take and give what the champion of its model does.
        """
        names = self.services(pipeline)
        found: dict[str, ModelVersion] = {}
        for name in names:
            model = self.parts[name].kind.model
            if model is not None and (version := self._version(model, versions.get(model))) is not None:
                found[name] = version
        return Release(
            pipeline=pipeline,
            code=self._code(pipeline),
            models={name: version.digest for name, version in found.items()},
            settings={name: shown(self.parts[name].options) for name in names},
            traits={name: traits for name in names if (traits := self._traits(name, found.get(name)))},
            reference=reference_of(found),
        )

    def by_this_code(self, earlier: Release) -> Release | None:
        """What `earlier` has become if nothing but the code has changed since: the same models, settings and traits.

        Blocking. Raises as `release` does, and `NotFound` for a model that is gone.
        """
        versions = [self.registry.version(digest) for digest in earlier.models.values()]
        found = self.release(earlier.pipeline, {version.name: version for version in versions})
        return found if replace(earlier, code=found.code).id == found.id else None

    def codes(self) -> frozenset[str]:
        """The digests of the code of all pipelines here."""
        return frozenset(self._code(pipeline) for pipeline in self.instances)

    def models(self, pipeline: str) -> list[str]:
        """The names of the models that the pipeline's services are made of."""
        kinds = {self.parts[name].kind.model for name in self.services(pipeline)}
        return sorted(model for model in kinds if model is not None)

    def plan(self, release: Release, *, only: Collection[str] | None = None) -> dict[str, PlannedPool]:
        """How each service of `release` is served, or those in `only`; every file of its models is verified. Blocking.

        Raises:
            InvalidConfiguration: it is of another pipeline, other services, or other code than what runs here.
        """
        names = self.services(release.pipeline)
        unknown = sorted({*release.models, *release.settings} - set(names))
        if unknown:
            raise InvalidConfiguration(
                f"The release {release.id[:19]} has a service {unknown[0]!r}, which {release.pipeline} has not.",
                remedy="It belongs to another version of the code.",
            )
        code = self._code(release.pipeline)
        if release.code != code:
            raise InvalidConfiguration(
                f"The release {release.id[:19]} was made by the code {release.code[:19]}, and this is {code[:19]}.",
                remedy="Check out the commit that it was made at; `headrace releases show` names it.",
            )
        return {name: self._planned(name, release) for name in names if only is None or name in only}

    def made(self, release: Release, *, only: Collection[str]) -> dict[str, Service]:
        """The services in `only`, loaded as `release` says; what they put on the shelf, its pools find there."""
        found: dict[str, Service] = {}
        for name in self.services(release.pipeline):
            if name in only:
                service = self.parts[name].made(self.parts[name].options_of(release), self.shelf)
                service.load_once(self._artifact(name, release)[1])
                found[name] = service
        return found

    def _artifact(self, name: str, release: Release) -> tuple[ModelVersion | None, Path | None]:
        digest = release.models.get(name)
        version = None if digest is None else self.registry.version(digest)
        return version, None if version is None else self.registry.folder_of(version)

    def _planned(self, name: str, release: Release) -> PlannedPool:
        part = self.parts[name]
        digest = release.models.get(name)
        version, artifact = self._artifact(name, release)
        options = part.options_of(release)
        identity = (name, f"{part.kind.__module__}:{part.kind.__qualname__}", digest, shown(options))
        make: Callable[[], Pool] = partial(
            pool_of,
            part,
            options=options,
            artifact=artifact,
            model=digest,
            shelf=self.shelf,
            tell=self.tell,
            turns=self.turns,
        )
        size = 0 if version is None else sum(file.size_bytes for file in version.files.values())
        return PlannedPool(key=msgspec.json.encode(identity, order="sorted").decode(), make=make, size_bytes=size)

    def _version(self, model: str, wished: ModelVersion | None) -> ModelVersion | None:
        champion = self.registry.find(model, CHAMPION)
        if wished is None or champion is None:
            return wished or champion
        misfits = wished.signature.misfits(champion.signature)
        if misfits:
            raise InvalidConfiguration(
                f"{model} {wished.digest[:19]} cannot stand in for its champion: {'; '.join(misfits)}.",
                remedy="Change the code that uses it together with the model, and start with both.",
            )
        return wished

    def _traits(self, name: str, version: ModelVersion | None) -> Mapping[str, Any]:
        part = self.parts[name]
        artifact: Path | None = None if version is None else self.registry.folder_of(version)
        traits: Mapping[str, Any] = msgspec.to_builtins(dict(part.made(part.options, self.shelf).traits(artifact)))
        return traits

    def services(self, pipeline: str) -> list[str]:
        """The attribute names of a pipeline's services; raises `NotFound`."""
        if pipeline not in self.instances:
            known = ", ".join(self.instances)
            raise NotFound(f"There is no pipeline {pipeline!r} here.", remedy=f"There are: {known}.")
        return sorted(services_of(self.instances[pipeline]))

    def _code(self, pipeline: str) -> str:
        instance = self.instances[pipeline]
        services = chain.from_iterable(services_of(instance).values())
        packages = {type(each).__module__.partition(".")[0] for each in (instance, *services)}
        return digest_of_sources("headrace", *packages)


def planner_of(pipelines: Sequence[type], settings: Settings) -> Planner:
    """A planner for pipelines that do not run."""
    instances = [instance_of(pipeline) for pipeline in pipelines]
    return Planner.of(instances, parts_of(instances, settings), opened_registry(settings), unheard, Shelf())


def record_of(release: Release, *, folder: Path | None = None) -> ReleaseRecord:
    """A release as it is kept, with the commit of the working folder. Blocking."""
    commit, is_dirty = working_copy(folder or Path.cwd())
    return ReleaseRecord(release=release, created_at=datetime.now(UTC), commit=commit, is_dirty=is_dirty)


def shown(options: Any) -> Any:
    """The options that a release tells of: all that `repr` shows."""
    if not is_dataclass(options):
        return {}
    values = msgspec.to_builtins(options)
    hidden = {field.name for field in fields(options) if not field.repr}
    return {key: value for key, value in values.items() if key not in hidden}
