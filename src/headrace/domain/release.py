"""Release: one immutable version of a whole pipeline, named by the digest of its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from headrace.domain.model import CHAMPION, REFERENCE, ModelVersion


@dataclass(frozen=True)
class Release:
    """What decides about answers: the code's version, the digests of all models, and the services' settings.

    `models` and `settings` go by service. `traits` are what services say of themselves for people: labels, calibration,
    thresholds, the method of explanation. `reference` is the digest of what drift is measured against: see
    `reference_of`.
    """

    pipeline: str
    code: str
    models: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    reference: str | None = None

    def manifest(self) -> bytes:
        """Its canonical form (RFC 8785: sorted keys, no spaces), in UTF-8."""
        content = {
            "pipeline": self.pipeline,
            "code": self.code,
            "models": dict(self.models),
            "settings": dict(self.settings),
            "traits": dict(self.traits),
            "reference": self.reference,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @cached_property
    def id(self) -> str:
        """`sha256:` and the digest of the manifest."""
        return f"sha256:{hashlib.sha256(self.manifest()).hexdigest()}"

    @classmethod
    def from_manifest(cls, manifest: bytes) -> Release:
        """The release that `manifest` describes; raises ValueError, KeyError or TypeError when it is none."""
        content: dict[str, Any] = json.loads(manifest)
        return cls(
            pipeline=str(content["pipeline"]),
            code=str(content["code"]),
            models={str(service): str(digest) for service, digest in content["models"].items()},
            settings=dict(content["settings"]),
            traits=dict(content["traits"]),
            reference=content["reference"],
        )

    def with_models(self, models: Mapping[str, str]) -> Release:
        """The same pipeline with other models, by service; what the services say of themselves is to be asked anew."""
        return replace(self, models={**self.models, **models})


def reference_of(versions: Mapping[str, ModelVersion]) -> str | None:
    """The digest of the reference that came with the models, by service: that of the file where one model has one.

    Of several it is the digest of theirs by service, in canonical form; None where no model came with any.
    """
    found = {name: version.files[REFERENCE].sha256 for name, version in versions.items() if REFERENCE in version.files}
    if len(found) > 1:
        together = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return f"sha256:{hashlib.sha256(together).hexdigest()}"
    return next((f"sha256:{digest}" for digest in found.values()), None)


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """A release with what is known of its making: when it was first seen, and the commit of the working folder.

    None of it is part of the release: the same release made twice is one. `is_dirty`: there were changes that the
    commit has not; None where no commit is known.
    """

    release: Release
    created_at: datetime
    commit: str | None = None
    is_dirty: bool | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which two releases or answers differ: its path, such as `models.classifier`, and both values."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, *, path: str = "") -> tuple[Difference, ...]:
    """Every place at which two values made of tables, lists and plain values differ, in order of path."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return tuple(
            each
            for key in sorted({*before, *after})
            for each in differences(before.get(key), after.get(key), path=f"{path}.{key}" if path else str(key))
        )
    if before == after and type(before) is type(after):
        return ()
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return tuple(
            each
            for place, (old, new) in enumerate(zip(before, after, strict=True))
            for each in differences(old, new, path=f"{path}[{place}]")
        )
    return (Difference(path=path, before=before, after=after),)


@dataclass(frozen=True, slots=True)
class Variant:
    """The release that a request is answered by, and the name it goes under in decisions and metrics.

    `is_shadowed`: another release will answer the same question out of the caller's sight, so work is kept for it.
    """

    release: str
    name: str = CHAMPION
    is_shadowed: bool = False
