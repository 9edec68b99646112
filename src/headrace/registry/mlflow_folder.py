"""An MLflow model directory as a package and back: plain files, without MLflow.

A directory that is written here has the flavour `headrace`; where the model is one ONNX graph it has MLflow's own
`onnx` flavour too, so that MLflow loads it. What is read is data: flavours that are pickles are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml  # type: ignore[import-untyped] # it comes without types

from headrace.domain.model import UNKNOWN, ModelVersion, Signature, signature_of
from headrace.errors import InvalidInput, UnreadableArtifact
from headrace.registry.package import Package, plain_package, within

MLMODEL = "MLmodel"
DATA = "data"
_PICKLED = {"sklearn": "pickled_model", "pytorch": "model_data", "python_function": "python_model"}


def is_mlflow(path: Path) -> bool:
    """Whether `path` is a model directory of MLflow."""
    return (path / MLMODEL).is_file()


def read_mlflow(path: Path) -> Package:
    """The model in a directory.

    Raises:
        UnreadableArtifact: its MLmodel cannot be read, or its flavours are pickles.
    """
    described = _described(path)
    flavors = described.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise UnreadableArtifact(f"{path / MLMODEL} names no flavors.", remedy="Is it whole?")
    metadata = described.get("metadata") or {}
    if isinstance(own := flavors.get("headrace"), dict):
        files = plain_package(within(path, str(own.get(DATA, DATA)))).files
        return Package(
            files=files,
            name=str(own.get("name", "")),
            metrics={str(name): float(value) for name, value in (metadata.get("metrics") or {}).items()},
            lineage={str(name): str(value) for name, value in (metadata.get("lineage") or {}).items()},
            signature=signature_of(metadata.get("signature") or {}),
        )
    if isinstance(onnx := flavors.get("onnx"), dict):
        target = within(path, str(onnx.get(DATA, "model.onnx")))
        files = plain_package(target).files
        lineage = {"mlflow_run": str(described["run_id"])} if described.get("run_id") else {}
        return Package(files=files, lineage=lineage, signature=_signature(described.get("signature") or {}))
    pickled = next((name for name in flavors if name in _PICKLED), None)
    raise UnreadableArtifact(
        f"The model in {path} has the flavors {', '.join(flavors)}"
        + (f", and {pickled} is a pickle, which can run any code when it is read." if pickled else "."),
        remedy="Log it with mlflow.onnx, or save it as safetensors, ONNX, skops or .npz.",
    )


def write_mlflow(path: Path, version: ModelVersion, package: Package, *, created_at: datetime) -> None:
    """Writes `package` into the folder `path`, which must be new or empty."""
    if path.exists() and any(path.iterdir()):
        raise InvalidInput(f"The folder {path} is not empty.", remedy="Name a new one.")
    for name, content in package.files.items():
        target = path / DATA / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    flavors: dict[str, Any] = {"headrace": {DATA: DATA, "digest": version.digest, "name": version.name}}
    graphs = [name for name in package.files if name.endswith(".onnx")]
    if len(graphs) == 1:
        flavors["onnx"] = {DATA: f"{DATA}/{graphs[0]}", "providers": ["CPUExecutionProvider"]}
    described = {
        "artifact_path": version.name,
        "flavors": flavors,
        "metadata": {
            "lineage": dict(package.lineage),
            "metrics": dict(package.metrics),
            "signature": _fields(package.signature),
        },
        # A UUID in form, and a function of the content: exporting twice gives the same.
        "model_uuid": UUID(version.digest.removeprefix("sha256:")[:32]).hex,
        "utc_time_created": created_at.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    if package.signature != UNKNOWN:
        described["signature"] = {
            which: json.dumps([{"type": each["type"], "name": each["name"]} for each in fields])
            for which, fields in _fields(package.signature).items()
        }
    (path / MLMODEL).write_text(yaml.safe_dump(described, sort_keys=True, allow_unicode=True), encoding="utf-8")


def _described(path: Path) -> Mapping[str, Any]:
    try:
        described = yaml.safe_load((path / MLMODEL).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, RecursionError) as broken:
        raise UnreadableArtifact(f"{path / MLMODEL} cannot be read: {broken}.") from broken
    if not isinstance(described, dict):
        raise UnreadableArtifact(f"{path / MLMODEL} does not describe a model.", remedy="Is it whole?")
    return described


def _signature(given: Mapping[str, Any]) -> Signature:
    """MLflow writes fields as JSON within YAML: columns by name and type, or tensors."""
    read: dict[str, list[dict[str, Any]]] = {}
    for which in ("inputs", "outputs"):
        try:
            fields = json.loads(given.get(which) or "[]")
        except (ValueError, TypeError) as broken:
            raise UnreadableArtifact(f"The signature of the model cannot be read: {broken}.") from broken
        read[which] = [
            {"name": each.get("name") or str(place), "type": _type(each)} for place, each in enumerate(fields)
        ]
    return signature_of(read)


def _type(each: Mapping[str, Any]) -> str:
    tensor = each.get("tensor-spec")
    if isinstance(tensor, dict):
        sizes = ",".join("n" if size == -1 else str(size) for size in tensor.get("shape", ()))
        return f"{tensor.get('dtype', 'float32')}[{sizes}]"
    return str(each.get("type", "string"))


def _fields(signature: Signature) -> dict[str, list[dict[str, Any]]]:
    def shown(fields: Any) -> list[dict[str, Any]]:
        return [
            {"name": each.name, "type": each.type} | ({"values": list(each.values)} if each.values else {})
            for each in fields
        ]

    return {"inputs": shown(signature.inputs), "outputs": shown(signature.outputs)}
