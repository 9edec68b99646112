"""Candidates: the release that an operator names to be rolled out, and the one that it would replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headrace.assembly.platform import Platform
from headrace.assembly.releases import Planner, planner_of, record_of
from headrace.assembly.stores import opened_stores
from headrace.domain.model import ModelVersion
from headrace.domain.release import Release
from headrace.domain.release_store import ReleaseStore
from headrace.domain.rollout import Rollout, RolloutPlan
from headrace.domain.rollout_store import RolloutStore
from headrace.errors import InvalidConfiguration, InvalidInput, NotFound
from headrace.rollouts.desk import Desk
from headrace.settings import Settings
from headrace.storage.rollouts import SqlRollouts

FindRelease = Callable[[str], Release | None]
SHORTEST_DIGEST = 6


def champion_and_candidate(
    planner: Planner, store: RolloutStore, wanted: str, *, find: FindRelease, pipeline: str | None = None
) -> tuple[Release, Release]:
    """What answers a pipeline now, and the release that `wanted` names. Blocking.

    `wanted` is a release's id or its beginning; or a model as NAME@ALIAS, by its digest or its beginning: then all but
    this model stays as it is.

    Raises:
        NotFound: there is no such release or model.
        InvalidInput: several are meant, or the model is of no pipeline.
    """
    release = None if "@" in wanted else find(wanted)
    if release is not None:
        return serving_release(planner, store, release.pipeline), release
    version = _version(planner, wanted)
    name = pipeline or _pipeline_of(planner, version)
    champion = serving_release(planner, store, name)
    versions = [planner.registry.version(digest) for digest in champion.models.values()]
    return champion, planner.release(name, {**{each.name: each for each in versions}, version.name: version})


def check_served_here(planner: Planner, champion: Release, candidate: Release) -> None:
    """Raises `InvalidConfiguration` for a candidate that differs in a service which another host answers.

    That host answers by one release, its own; a rollout would need it to answer by two.
    """
    for name in planner.services(candidate.pipeline):
        part = planner.parts[name]
        is_same = champion.models.get(name) == candidate.models.get(name) and champion.settings.get(
            name
        ) == candidate.settings.get(name)
        if part.url and not is_same:
            raise InvalidConfiguration(
                f"The candidate changes {name}, which {part.url} answers by its own release alone.",
                remedy=f"Take its address out of [services.{name}] while it is rolled out: then it is answered here.",
            )


def serving_release(planner: Planner, store: RolloutStore, pipeline: str) -> Release:
    """What servers answer by; before the first one, what a server would answer by that begins now. Blocking."""
    manifest = store.serving(pipeline)
    champion = planner.champion(pipeline)
    if manifest is None:
        return champion
    serving = Release.from_manifest(manifest)
    # Other code makes other releases: what an older server told is no release that this one could load.
    return serving if serving.code == champion.code else champion


def _version(planner: Planner, wanted: str) -> ModelVersion:
    name, has_alias, alias = wanted.partition("@")
    if has_alias:
        found = planner.registry.find(name, alias)
        if found is None:
            raise NotFound(f"{name} has no alias {alias!r}.", remedy="List the models: headrace models list.")
        return found
    digits = wanted.removeprefix("sha256:")
    known = [each for each in planner.registry.versions() if each.digest.removeprefix("sha256:").startswith(digits)]
    if len(digits) < SHORTEST_DIGEST or not known:
        raise NotFound(
            f"There is no release and no model {wanted!r}.", remedy="Name a release's id, or a model as NAME@ALIAS."
        )
    if len(known) > 1:
        raise InvalidInput(f"{len(known)} models begin with {wanted!r}.", remedy="Write more of the digest.")
    return known[0]


def _pipeline_of(planner: Planner, version: ModelVersion) -> str:
    found = [
        name
        for name in planner.instances
        if any(planner.parts[service].kind.model == version.name for service in planner.services(name))
    ]
    if len(found) != 1:
        shown = ", ".join(found) or "no pipeline"
        raise InvalidInput(f"The model {version.name} is used by {shown}.", remedy="Name the pipeline.")
    return found[0]


@dataclass(frozen=True, slots=True)
class RolloutOffice:
    """What operators need for rollouts: the desk, and how a named release is started."""

    desk: Desk
    planner: Planner
    store: RolloutStore
    releases: ReleaseStore

    def start(self, wanted: str, pipeline: str | None, plan: RolloutPlan) -> Rollout:
        """Begins to roll out what `wanted` names. Blocking.

        Raises:
            Conflict: a rollout of the pipeline runs already.
            NotFound: there is no such release or model.
            InvalidInput: several are meant, or it answers already.
            InvalidConfiguration: the candidate was made by other code than what runs here, or changes a service that
                another host answers.
            UnreadableArtifact: a file of its models is not what was registered.
        """
        champion, candidate = champion_and_candidate(
            self.planner, self.store, wanted, find=self._found, pipeline=pipeline
        )
        check_served_here(self.planner, champion, candidate)
        # Its files are verified now, while somebody is there to read what is wrong with them.
        self.planner.plan(candidate)
        for release in (champion, candidate):
            self.releases.add(record_of(release))
        return self.desk.start(champion, candidate, plan)

    def _found(self, wanted: str) -> Release | None:
        record = self.releases.find(wanted)
        return None if record is None else record.release


@contextmanager
def rollout_office(platform: Platform, settings: Settings) -> Iterator[RolloutOffice]:
    """For a command line: nothing is loaded and nothing runs. Blocking."""
    stores = opened_stores(settings)
    try:
        store = SqlRollouts(stores.database)
        yield RolloutOffice(Desk(store), planner_of(platform.pipelines, settings), store, stores.releases)
    finally:
        stores.close()
