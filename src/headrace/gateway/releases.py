"""The calls of `/v1/releases`: which versions of pipelines there are, and what tells them apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from headrace.domain.release import Difference, ReleaseRecord, differences
from headrace.domain.release_store import ReleaseStore
from headrace.errors import InvalidInput, NotFound
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import PAGING, page_in
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route

TAG = "releases"
_ID = Parameter("id", "The release's id, or its beginning.", where="path", required=True, example=f"sha256:{'0' * 64}")


class ReleaseShown(msgspec.Struct):
    """`id` is the digest of `manifest` in its canonical form. `answers`: it is loaded here and may answer."""

    id: str
    pipeline: str
    created_at: datetime
    commit: str | None
    is_dirty: bool | None
    answers: bool
    manifest: msgspec.Raw


class ReleasePage(msgspec.Struct):
    """Newest first; `next` is the cursor of the next page, null at the end."""

    items: list[ReleaseShown]
    next: str | None


class ReleaseDifferences(msgspec.Struct):
    """Every place at which two manifests differ."""

    before: str
    after: str
    differences: list[Difference]


LIST = Operation(
    "List releases",
    TAG,
    parameters=PAGING,
    gives={200: Content(ReleasePage)},
    errors=(InvalidInput,),
)
SHOW = Operation(
    "Look up a release",
    TAG,
    parameters=(_ID,),
    gives={200: Content(ReleaseShown)},
    errors=(NotFound, InvalidInput),
)
DIFF = Operation(
    "What tells two releases apart",
    TAG,
    parameters=(_ID, Parameter("other", "The other one's id.", where="path", required=True, example="sha256:0")),
    gives={200: Content(ReleaseDifferences)},
    errors=(NotFound, InvalidInput),
)


def routes(store: ReleaseStore, answers: Callable[[str], bool]) -> list[Route]:
    """`answers` says whether a release is loaded in this process."""

    def shown(record: ReleaseRecord) -> ReleaseShown:
        release = record.release
        return ReleaseShown(
            id=release.id,
            pipeline=release.pipeline,
            created_at=record.created_at,
            commit=record.commit,
            is_dirty=record.is_dirty,
            answers=answers(release.id),
            manifest=msgspec.Raw(release.manifest()),
        )

    async def found(release_id: str) -> ReleaseRecord:
        record = await asyncio.to_thread(store.find, release_id)
        if record is None:
            raise NotFound(f"There is no release {release_id[:80]!r}.", remedy="List those that there are.")
        return record

    async def listed(request: Request) -> Response:
        wanted = page_in(request)
        records, following = await asyncio.to_thread(store.listed, cursor=wanted.cursor, limit=wanted.limit)
        return json_response(ReleasePage([shown(each) for each in records], following))

    async def show(request: Request) -> Response:
        return json_response(shown(await found(request.params["id"])))

    async def diff(request: Request) -> Response:
        before, after = await found(request.params["id"]), await found(request.params["other"])
        told = differences(_values(before), _values(after))
        return json_response(ReleaseDifferences(before.release.id, after.release.id, list(told)))

    return [
        Route("GET", "/v1/releases", listed, LIST),
        Route("GET", "/v1/releases/{id}", show, SHOW),
        Route("GET", "/v1/releases/{id}/diff/{other}", diff, DIFF),
    ]


def _values(record: ReleaseRecord) -> Any:
    return msgspec.json.decode(record.release.manifest())
