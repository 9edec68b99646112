"""ModelVersion: one trained artifact, known by the digest of what it is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHAMPION = "champion"
"""The alias of the version that answers."""

REFERENCE = "reference.json"
"""The file in which a trainer leaves what its model said of examples that it had not seen: what drift is from."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: its SHA-256 in hex and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output of a model: its name, its type ("string", "double", "float32[n]"), and what it may be."""

    name: str
    type: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives; without any fields nothing is known of it."""

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()

    def misfits(self, other: Signature) -> tuple[str, ...]:
        """Why a model of this signature cannot stand in for one of the `other`: in words, nothing when it can.

        It has to take the same inputs, and to give every output that the other gave; values may differ, as labels do.
        """
        if UNKNOWN in {self, other}:
            return ()
        takes = {field.name: field.type for field in self.inputs}
        took = {field.name: field.type for field in other.inputs}
        gives = {field.name: field.type for field in self.outputs}
        gave = {field.name: field.type for field in other.outputs}
        wrong = [f"it takes {_told(takes)} and not {_told(took)}"] if takes != took else []
        wrong += [
            f"its {name} is {gives.get(name, 'missing')} and not {kind}"
            for name, kind in gave.items()
            if gives.get(name) != kind
        ]
        return tuple(wrong)


UNKNOWN = Signature()
"""Nothing is known of what the model takes and gives."""


def _told(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in fields.items()) or "nothing"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where and when a version was made; kept beside it and no part of its digest, which depends on content alone."""

    created_at: str = ""
    commit: str | None = None
    is_dirty: bool | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of the model `name`; `lineage` tells what it was made from: data digest, seed, parameters.

    Nothing in it depends on when or where it was made, so the same training gives the same digest.
    """

    name: str
    files: Mapping[str, ModelFile]
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    signature: Signature = UNKNOWN

    def manifest(self) -> bytes:
        """Its canonical form: JSON with sorted keys, no spaces, in UTF-8."""
        content: dict[str, Any] = {
            "name": self.name,
            "files": {
                path: {"sha256": file.sha256, "size_bytes": file.size_bytes} for path, file in self.files.items()
            },
            "metrics": dict(self.metrics),
            "lineage": dict(self.lineage),
        }
        if self.signature != UNKNOWN:
            content["signature"] = {
                "inputs": [_field(each) for each in self.signature.inputs],
                "outputs": [_field(each) for each in self.signature.outputs],
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
            signature=signature_of(content.get("signature", {})),
        )

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files.values())


def signature_of(content: Mapping[str, Any]) -> Signature:
    """A signature from its JSON form; raises KeyError or TypeError when it is none."""

    def fields(which: str) -> tuple[Field, ...]:
        return tuple(
            Field(str(each["name"]), str(each["type"]), tuple(str(value) for value in each.get("values", ())))
            for each in content.get(which, ())
        )

    return Signature(fields("inputs"), fields("outputs"))


def _field(each: Field) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": each.name, "type": each.type}
    return shown | {"values": list(each.values)} if each.values else shown
