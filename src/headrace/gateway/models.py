"""The calls of `/v1/models`: which model versions there are and what they are made of."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from headrace.domain.model import Field, ModelVersion
from headrace.errors import InvalidInput, NotFound
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route
from headrace.registry.registry import ModelRegistry

TAG = "models"


class ModelFileShown(msgspec.Struct):
    """One file of a version."""

    sha256: str
    size_bytes: int


class ModelShown(msgspec.Struct):
    """One version. `aliases` mean it now; `created_at`, `commit` and `is_dirty` are of its making, where known."""

    name: str
    digest: str
    aliases: list[str]
    files: dict[str, ModelFileShown]
    metrics: dict[str, float]
    lineage: dict[str, str]
    inputs: list[Field]
    outputs: list[Field]
    created_at: str | None
    commit: str | None
    is_dirty: bool | None


class ModelList(msgspec.Struct):
    """All versions by name and digest; `next` is null, for a registry is listed at once."""

    items: list[ModelShown]
    next: str | None = None


LIST = Operation("List model versions", TAG, gives={200: Content(ModelList)})
SHOW = Operation(
    "Look up a model version",
    TAG,
    parameters=(
        Parameter(
            "reference",
            "NAME, NAME@ALIAS, a digest, or the beginning of one.",
            where="path",
            required=True,
            example="document-classifier@champion",
        ),
    ),
    gives={200: Content(ModelShown)},
    errors=(NotFound, InvalidInput),
)


def routes(registry: ModelRegistry) -> list[Route]:
    """Of one registry; reading it blocks."""

    def every() -> list[ModelShown]:
        return [shown(registry, each) for each in registry.versions()]

    def one(reference: str) -> ModelShown:
        return shown(registry, registry.named(reference))

    async def listed(_request: Request) -> Response:
        return json_response(ModelList(await asyncio.to_thread(every)))

    async def show(request: Request) -> Response:
        return json_response(await asyncio.to_thread(one, request.params["reference"]))

    return [Route("GET", "/v1/models", listed, LIST), Route("GET", "/v1/models/{reference}", show, SHOW)]


def shown(registry: ModelRegistry, version: ModelVersion) -> ModelShown:
    """A version as it goes out."""
    made = registry.provenance(version)
    aliases: dict[str, Any] = registry.aliases(version.name)
    return ModelShown(
        name=version.name,
        digest=version.digest,
        aliases=sorted(alias for alias, digest in aliases.items() if digest == version.digest),
        files={name: ModelFileShown(each.sha256, each.size_bytes) for name, each in version.files.items()},
        metrics=dict(version.metrics),
        lineage=dict(version.lineage),
        inputs=list(version.signature.inputs),
        outputs=list(version.signature.outputs),
        created_at=made.created_at or None,
        commit=made.commit,
        is_dirty=made.is_dirty,
    )
