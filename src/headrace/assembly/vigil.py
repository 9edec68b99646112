"""Vigil: whether the files of the models that answer are still what was loaded."""

from __future__ import annotations

import asyncio

from headrace.assembly.pools import Tell
from headrace.domain.model import ModelVersion
from headrace.errors import HeadraceError
from headrace.registry.registry import Mark, ModelRegistry
from headrace.serving.releases import Releases

EVERY_S = 5.0


class Vigil:
    """Looks at the files of all loaded releases. Weights are mapped, so one that is written over changes answers.

    A release whose file was written over answers nothing from then on, and its services are not ready. One that was
    deleted or replaced by another harms nobody until the next start, for what is mapped lives on: operators are told.
    Files are read only where their mark has changed.
    """

    def __init__(self, loaded: Releases, registry: ModelRegistry, *, tell: Tell) -> None:
        self._loaded = loaded
        self._registry = registry
        self._tell = tell
        self._marks: dict[str, dict[str, Mark | None]] = {}
        self._versions: dict[str, ModelVersion] = {}
        self._faults: dict[str, str] = {}

    async def keep(self) -> None:
        """Looks for ever."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Looks once at all files of what is loaded now. Who is told of a change finds it distrusted already."""
        releases = list(self._loaded)
        told: list[tuple[str, dict[str, str]]] = []
        for digest in {digest for release in releases for digest in release.models.values()}:
            try:
                event, model = await asyncio.to_thread(self._looked_at, digest)
            except (HeadraceError, OSError) as failure:
                # A registry that cannot be read now is looked at again; the vigil must not end with it.
                told.append(("model_files_unread", {"version": digest, "error": str(failure)}))
            else:
                if event:
                    told.append((event, {"model": model, "version": digest}))
        for release in releases:
            for digest in self._faults.keys() & set(release.models.values()):
                self._loaded.distrust(release.id, self._faults[digest])
        for event, facts in told:
            self._tell(event, facts)

    def _looked_at(self, digest: str) -> tuple[str, str]:
        """What is to be told of a model, nothing where all is well; and its name."""
        version = self._versions.get(digest)
        if version is None:
            version = self._versions[digest] = self._registry.version(digest)
        marks = self._registry.marks_of(version)
        known = self._marks.setdefault(digest, self._registry.verified(version) or marks)
        if marks == known:
            return "", version.name
        self._marks[digest] = marks
        if self._registry.is_intact(version):
            return "", version.name
        if any(_is_written_over(known[path], marks[path]) for path in marks):
            self._faults[digest] = f"A file of {version.name} {digest} was changed since it was loaded."
            return "model_changed", version.name
        return "model_files_missing", version.name


def _is_written_over(before: Mark | None, now: Mark | None) -> bool:
    """Whether it is the same file, with other bytes."""
    return before is not None and now is not None and before[0] == now[0] and before != now
