"""ModelRegistry: a folder of model versions by digest, and the aliases that say which of them answers."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from headrace.domain.model import CHAMPION, ModelFile, ModelVersion, Provenance, Signature
from headrace.errors import Conflict, InvalidInput, NotFound, UnreadableArtifact
from headrace.registry.formats import check_files

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFEST, _PROVENANCE = "manifest.json", "provenance.json"


class ModelRegistry:
    """Versions lie in `folder/versions/<hex>/`, their files in `files/` beside the manifest that the digest is of.

    Content never changes once written; only aliases move, by compare-and-swap. Safe for many processes on one
    machine. Every path given out has been verified against its digest just before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        home = self._home(version.digest)
        for path, content in files.items():
            target = home / "files" / path
            if not _holds(target, version.files[path]):
                _write(target, content)
        if provenance is not None and not (home / _PROVENANCE).is_file():
            _write(home / _PROVENANCE, json.dumps(asdict(provenance), sort_keys=True).encode())
        # The manifest comes last: a version without one does not exist, so a crash leaves no half of a version.
        if not (home / _MANIFEST).is_file() or (home / _MANIFEST).read_bytes() != version.manifest():
            _write(home / _MANIFEST, version.manifest())
        return version

    def version(self, digest: str) -> ModelVersion:
        """The version with `digest`, its manifest verified.

        Raises:
            NotFound: there is none.
            UnreadableArtifact: its manifest is not what the digest says.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput(f"{digest!r} is no digest.", remedy="Digests read sha256: and 64 hexadecimal digits.")
        try:
            manifest = (self._home(digest) / _MANIFEST).read_bytes()
        except FileNotFoundError as missing:
            raise NotFound(f"No model version has the digest {digest}.") from missing
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
        digests = [f"sha256:{home.name}" for home in self._folder.glob("versions/*") if (home / _MANIFEST).is_file()]
        return sorted((self.version(digest) for digest in digests), key=lambda version: (version.name, version.digest))

    def provenance(self, version: ModelVersion) -> Provenance:
        """Where and when it was made, as far as that was told; not covered by its digest."""
        try:
            return Provenance(**json.loads((self._home(version.digest) / _PROVENANCE).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return Provenance()

    def aliases(self, name: str) -> dict[str, str]:
        """The digests that the aliases of `name` mean."""
        homes = sorted(self._alias_path(name, CHAMPION).parent.glob("[!.]*"))
        return {home.name: digest for home in homes if (digest := self.alias(name, home.name)) is not None}

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
        """The folder with the files of `version`, each verified now.

        Raises:
            UnreadableArtifact: a file is missing or not what was registered.
        """
        files = self._home(version.digest) / "files"
        for path, file in version.files.items():
            if not _holds(files / path, file):
                raise UnreadableArtifact(
                    f"{path} of {version.name} {version.digest} is missing or was changed since it was registered.",
                    remedy="Register the model again, or move the alias to another version.",
                )
        return files

    def find(self, name: str, alias: str = CHAMPION) -> ModelVersion | None:
        """The version that `alias` of `name` names; None when there is no such alias."""
        digest = self.alias(name, alias)
        return None if digest is None else self.version(digest)

    def alias(self, name: str, alias: str = CHAMPION) -> str | None:
        """The digest that `alias` of `name` names; None when there is no such alias."""
        try:
            digest = self._alias_path(name, alias).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        if not _DIGEST.fullmatch(digest):
            raise UnreadableArtifact(f"{name}@{alias} does not hold a digest.", remedy="Remove it and set it anew.")
        return digest

    def move_alias(self, version: ModelVersion, alias: str = CHAMPION, *, expected: str | None) -> None:
        """From now on `alias` of the version's name means `version`, on disc before this returns.

        `expected` is the digest that the alias had when the caller decided, None for no alias.

        Raises:
            Conflict: the alias means something else by now.
            NotFound: `version` is not registered here.
        """
        self.version(version.digest)
        path = self._alias_path(version.name, alias)
        with _locked(path.with_name(f".{alias}.lock")):
            found = self.alias(version.name, alias)
            if found != expected:
                raise Conflict(
                    f"{version.name}@{alias} is {found or 'not set'} by now, not {expected or 'unset'}.",
                    remedy="Look again and decide anew.",
                )
            _write(path, version.digest.encode())

    def _home(self, digest: str) -> Path:
        return self._folder / "versions" / digest.removeprefix("sha256:")

    def _alias_path(self, name: str, alias: str) -> Path:
        _check_name(name, "a model")
        _check_name(alias, "an alias")
        return self._folder / "aliases" / name / alias


def _check_name(name: str, kind: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for {kind}.", remedy="Use letters, digits, dots, dashes and underscores."
        )


def _holds(path: Path, file: ModelFile) -> bool:
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != file.size_bytes:
                return False
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False


def _write(path: Path, content: bytes) -> None:
    """All of `content` or nothing, also after a power cut: a new file, synced, renamed over the old, folder synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
