"""A CNCF ModelPack artifact in an OCI layout directory as a package and back: plain files, no registry needed.

The layout is that of the OCI image specification (`oci-layout`, `index.json`, `blobs/sha256/`); the manifest, its
config and the media types of its layers are those of the ModelPack specification. Each file is a layer of its own, raw,
so its blob is the file. Every blob is verified against its descriptor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from headrace.domain.model import ModelVersion, signature_of
from headrace.errors import InvalidInput, UnreadableArtifact
from headrace.registry.package import Package

LAYOUT = "oci-layout"
INDEX = "index.json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
FILE_PATH = "org.cncf.model.filepath"
OWN = "dev.headrace.model"
"""The annotation that holds what the specification has no place for: metrics, lineage, signature, as JSON."""

_RAW = ".raw"


def is_model_pack(path: Path) -> bool:
    """Whether `path` is an OCI layout directory."""
    return (path / LAYOUT).is_file() and (path / INDEX).is_file()


def read_model_pack(path: Path) -> Package:
    """The one model in a layout.

    Raises:
        UnreadableArtifact: a blob is missing or not what its descriptor says, or the artifact is no model.
        InvalidInput: the layout holds several artifacts.
    """
    index = _json(path / INDEX)
    manifests = index.get("manifests", [])
    if len(manifests) != 1:
        raise InvalidInput(f"The layout {path} holds {len(manifests)} artifacts.", remedy="Export one of them alone.")
    manifest = _parsed(_blob(path, manifests[0]), "manifest")
    if manifest.get("artifactType") != ARTIFACT_TYPE:
        raise UnreadableArtifact(
            f"The artifact in {path} is {manifest.get('artifactType')!r} and no model.",
            remedy=f"It is {ARTIFACT_TYPE}.",
        )
    config = _parsed(_blob(path, manifest["config"]), "config")
    own = json.loads(manifest.get("annotations", {}).get(OWN, "{}"))
    files: dict[str, bytes] = {}
    for layer in manifest.get("layers", []):
        name = layer.get("annotations", {}).get(FILE_PATH)
        if not name or not str(layer.get("mediaType", "")).endswith(_RAW):
            raise UnreadableArtifact(
                f"A layer of {path} is {layer.get('mediaType')!r}, or has no path.", remedy="Pack it with raw layers."
            )
        files[str(name)] = _blob(path, layer)
    return Package(
        files=files,
        name=str(config.get("descriptor", {}).get("name", "")),
        metrics={str(name): float(value) for name, value in own.get("metrics", {}).items()},
        lineage={str(name): str(value) for name, value in own.get("lineage", {}).items()},
        signature=signature_of(own.get("signature", {})),
    )


def write_model_pack(path: Path, version: ModelVersion, package: Package, *, created_at: datetime) -> None:
    """Writes `package` into the folder `path`, which must be new or empty."""
    if path.exists() and any(path.iterdir()):
        raise InvalidInput(f"The folder {path} is not empty.", remedy="Name a new one.")
    layers = [
        _stored(path, content, WEIGHT_CONFIG_TYPE if name.endswith(".json") else WEIGHT_TYPE)
        | {"annotations": {FILE_PATH: name}}
        for name, content in sorted(package.files.items())
    ]
    config = {
        "descriptor": {
            "createdAt": created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "name": version.name,
            "version": version.digest,
        },
        "config": {"format": _format(package)},
        "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
    }
    own = {
        "metrics": dict(package.metrics),
        "lineage": dict(package.lineage),
        "signature": asdict(package.signature),
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": _stored(path, _dumped(config), CONFIG_TYPE),
        "layers": layers,
        "annotations": {OWN: json.dumps(own, sort_keys=True)},
    }
    described = _stored(path, _dumped(manifest), MANIFEST_TYPE) | {"artifactType": ARTIFACT_TYPE}
    # The layout file comes last: a directory without it is none.
    (path / INDEX).write_bytes(_dumped({"schemaVersion": 2, "manifests": [described]}))
    (path / LAYOUT).write_bytes(_dumped({"imageLayoutVersion": "1.0.0"}))


def _format(package: Package) -> str:
    for suffix, name in ((".onnx", "onnx"), (".safetensors", "safetensors"), (".skops", "skops"), (".npz", "npz")):
        if any(file.endswith(suffix) for file in package.files):
            return name
    return "json"


def _stored(path: Path, content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    blob = path / "blobs" / "sha256" / digest
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _blob(path: Path, descriptor: Mapping[str, Any]) -> bytes:
    algorithm, _, digest = str(descriptor.get("digest", "")).partition(":")
    if algorithm != "sha256" or len(digest) != 64 or not digest.isalnum():
        raise UnreadableArtifact(f"{descriptor.get('digest')!r} is no digest that can be verified.")
    try:
        content = (path / "blobs" / "sha256" / digest).read_bytes()
    except OSError as missing:
        raise UnreadableArtifact(
            f"The blob sha256:{digest} is missing from {path}.", remedy="Copy all of it."
        ) from missing
    if hashlib.sha256(content).hexdigest() != digest or len(content) != descriptor.get("size", len(content)):
        raise UnreadableArtifact(
            f"The blob sha256:{digest} is not what its descriptor says.",
            remedy="It was damaged or changed; copy it again.",
        )
    return content


def _json(path: Path) -> dict[str, Any]:
    return _parsed(path.read_bytes(), path.name)


def _parsed(content: bytes, what: str) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as broken:
        raise UnreadableArtifact(f"The {what} of the layout cannot be read: {broken}.") from broken
    if not isinstance(parsed, dict):
        raise UnreadableArtifact(f"The {what} of the layout is no object.")
    return parsed


def _dumped(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
