"""ModelRegistry: model versions by digest, and the aliases that say which of them answers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from headrace.domain.model import CHAMPION, ModelFile, ModelVersion, Provenance, Signature
from headrace.errors import Conflict, InvalidInput, NotFound, UnreadableArtifact
from headrace.registry.formats import check_files
from headrace.registry.place import Bucket, Place
from headrace.registry.places.folder import FolderPlace
from headrace.registry.places.mirror import MirroredBucket

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFEST, _PROVENANCE = "manifest.json", "provenance.json"


Mark = tuple[int, int, int]
"""Of a file: its inode, its size in bytes, and when it was written to, in nanoseconds."""


class ModelRegistry:
    """Versions lie in `versions/<hex>/`, their files in `files/` beside the manifest that the digest is of.

    Content never changes once written; only aliases move, by compare-and-swap. Safe for many processes; with a
    `bucket`, which holds all of it then, for many machines, and `folder` has copies of what was needed here. Every path
    given out has been verified against its digest just before.
    """

    def __init__(self, folder: Path, *, bucket: Bucket | None = None) -> None:
        self._place: Place = FolderPlace(folder) if bucket is None else MirroredBucket(bucket, folder)
        self._verified: dict[str, dict[str, Mark | None]] = {}

    def register(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        metrics: Mapping[str, float] | None = None,
        lineage: Mapping[str, str] | None = None,
        signature: Signature | None = None,
        provenance: Provenance | None = None,
    ) -> ModelVersion:
        """The version made of `files`; registering the same again gives the same, and mends what was damaged.

        `provenance` is kept beside it, the first one that is given.

        Raises:
            InvalidInput: `name` is no name.
            UnreadableArtifact: a file is of no allowed format.
        """
        _check_name(name, "a model")
        check_files(files)
        version = ModelVersion(
            name=name,
            files={
                path: ModelFile(hashlib.sha256(content).hexdigest(), len(content)) for path, content in files.items()
            },
            metrics=dict(metrics or {}),
            lineage=dict(lineage or {}),
            signature=signature or Signature(),
        )
        home = _home(version.digest)
        for path, content in files.items():
            self._place.keep(f"{home}/files/{path}", content)
        if provenance is not None and self._place.read(f"{home}/{_PROVENANCE}") is None:
            self._place.keep(f"{home}/{_PROVENANCE}", json.dumps(asdict(provenance), sort_keys=True).encode())
        # The manifest comes last: a version without one does not exist, so a crash leaves no half of a version.
        self._place.keep(f"{home}/{_MANIFEST}", version.manifest())
        return version

    def version(self, digest: str) -> ModelVersion:
        """The version with `digest`, its manifest verified.

        Raises:
            NotFound: there is none.
            UnreadableArtifact: its manifest is not what the digest says.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput(f"{digest!r} is no digest.", remedy="Digests read sha256: and 64 hexadecimal digits.")
        manifest = self._place.read(f"{_home(digest)}/{_MANIFEST}", sha256=digest.removeprefix("sha256:"))
        if manifest is None:
            raise NotFound(f"No model version has the digest {digest}.")
        if f"sha256:{hashlib.sha256(manifest).hexdigest()}" != digest:
            raise UnreadableArtifact(
                f"The manifest of {digest} was changed since it was registered.", remedy="Register the model again."
            )
        try:
            return ModelVersion.from_manifest(manifest)
        except (ValueError, KeyError, TypeError, AttributeError) as broken:
            raise UnreadableArtifact(f"The manifest of {digest} cannot be read: {broken}.") from broken

    def versions(self) -> list[ModelVersion]:
        """All versions whose manifest is whole, by name and digest."""
        found = []
        for each in self._place.names("versions"):
            # Without a manifest it is not there yet: somebody registers it at this moment, or died doing so.
            with suppress(NotFound):
                found.append(self.version(f"sha256:{each}"))
        return sorted(found, key=lambda version: (version.name, version.digest))

    def provenance(self, version: ModelVersion) -> Provenance:
        """Where and when it was made, as far as that was told; not covered by its digest."""
        try:
            return Provenance(**json.loads(self._place.read(f"{_home(version.digest)}/{_PROVENANCE}") or b"{}"))
        except (ValueError, TypeError):
            return Provenance()

    def aliases(self, name: str) -> dict[str, str]:
        """The digests that the aliases of `name` mean."""
        _check_name(name, "a model")
        known = self._place.names(f"aliases/{name}")
        return {each: digest for each in known if (digest := self.alias(name, each)) is not None}

    def named(self, reference: str) -> ModelVersion:
        """The version that `NAME`, `NAME@ALIAS`, a digest, or the beginning of one means.

        Raises:
            NotFound: there is none.
            InvalidInput: it is the beginning of several digests.
        """
        if reference.startswith("sha256:"):
            if _DIGEST.fullmatch(reference):
                return self.version(reference)
            found = [each for each in self.versions() if each.digest.startswith(reference)]
            if len(found) > 1:
                raise InvalidInput(f"Several versions begin with {reference!r}.", remedy="Give more of the digest.")
            version = found[0] if found else None
        else:
            name, _, alias = reference.partition("@")
            version = self.find(name, alias or CHAMPION)
        if version is None:
            raise NotFound(f"There is no model version {reference!r}.", remedy="See `headrace models list`.")
        return version

    def folder_of(self, version: ModelVersion) -> Path:
        """The folder of this machine with the files of `version`, each verified now.

        Raises:
            UnreadableArtifact: a file is missing or not what was registered.
        """
        files = f"{_home(version.digest)}/files"
        marks = self.marks_of(version)
        for path, file in version.files.items():
            if self._place.file(f"{files}/{path}", file) is None:
                raise UnreadableArtifact(
                    f"{path} of {version.name} {version.digest} is missing or was changed since it was registered.",
                    remedy="Register the model again, or move the alias to another version.",
                )
        # What was fetched just now has no mark yet from before it was read.
        self._verified[version.digest] = marks if None not in marks.values() else self.marks_of(version)
        return self._place.folder / files

    def verified(self, version: ModelVersion) -> dict[str, Mark | None] | None:
        """How the files of `version` lay here when they were last verified; None where they never were."""
        return self._verified.get(version.digest)

    def marks_of(self, version: ModelVersion) -> dict[str, Mark | None]:
        """How the files of `version` lie here now, without reading them; None for one that is gone."""
        files = self._place.folder / _home(version.digest) / "files"
        return {path: _mark_of(files / path) for path in version.files}

    def is_intact(self, version: ModelVersion) -> bool:
        """Whether the files of `version` are here as they were registered; reads all, fetches and mends nothing."""
        here, files = FolderPlace(self._place.folder), f"{_home(version.digest)}/files"
        return all(here.file(f"{files}/{path}", file) is not None for path, file in version.files.items())

    def find(self, name: str, alias: str = CHAMPION) -> ModelVersion | None:
        """The version that `alias` of `name` names; None when there is no such alias."""
        digest = self.alias(name, alias)
        return None if digest is None else self.version(digest)

    def alias(self, name: str, alias: str = CHAMPION) -> str | None:
        """The digest that `alias` of `name` names; None when there is no such alias."""
        return _digest_in(self._place.read(_alias(name, alias)), name, alias)

    def move_alias(self, version: ModelVersion, alias: str = CHAMPION, *, expected: str | None) -> None:
        """From now on `alias` of the version's name means `version`, on disc before this returns.

        `expected` is the digest that the alias had when the caller decided, None for no alias.

        Raises:
            Conflict: the alias means something else by now.
            NotFound: `version` is not registered here.
        """
        self.version(version.digest)
        place, was = _alias(version.name, alias), None if expected is None else expected.encode()
        found = _digest_in(self._place.swap(place, version.digest.encode(), expected=was), version.name, alias)
        if found != expected:
            raise Conflict(
                f"{version.name}@{alias} is {found or 'not set'} by now, not {expected or 'unset'}.",
                remedy="Look again and decide anew.",
            )


def _home(digest: str) -> str:
    return f"versions/{digest.removeprefix('sha256:')}"


def _alias(name: str, alias: str) -> str:
    _check_name(name, "a model")
    _check_name(alias, "an alias")
    return f"aliases/{name}/{alias}"


def _digest_in(content: bytes | None, name: str, alias: str) -> str | None:
    if content is None:
        return None
    digest = content.decode(errors="replace")
    if not _DIGEST.fullmatch(digest):
        raise UnreadableArtifact(f"{name}@{alias} does not hold a digest.", remedy="Remove it and set it anew.")
    return digest


def _check_name(name: str, kind: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for {kind}.", remedy="Use letters, digits, dots, dashes and underscores."
        )


def _mark_of(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
