"""ModelVersion: one trained artifact, known by the digest of what it is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHAMPION = "champion"
"""The alias of the version that answers."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: its SHA-256 in hex and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of the model `name`; `lineage` tells what it was made from: data digest, seed, features.

    Nothing in it depends on when or where it was made, so the same training gives the same digest.
    """

    name: str
    files: Mapping[str, ModelFile]
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)

    def manifest(self) -> bytes:
        """Its canonical form: JSON with sorted keys, no spaces, in UTF-8."""
        content = {
            "name": self.name,
            "files": {
                path: {"sha256": file.sha256, "size_bytes": file.size_bytes} for path, file in self.files.items()
            },
            "metrics": dict(self.metrics),
            "lineage": dict(self.lineage),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the manifest."""
        return f"sha256:{hashlib.sha256(self.manifest()).hexdigest()}"

    @classmethod
    def from_manifest(cls, manifest: bytes) -> ModelVersion:
        """The version that `manifest` describes; raises ValueError, KeyError or TypeError when it is none."""
        content: dict[str, Any] = json.loads(manifest)
        return cls(
            name=str(content["name"]),
            files={
                str(path): ModelFile(str(file["sha256"]), int(file["size_bytes"]))
                for path, file in content["files"].items()
            },
            metrics={str(name): value for name, value in content["metrics"].items()},
            lineage={str(name): str(value) for name, value in content["lineage"].items()},
        )
