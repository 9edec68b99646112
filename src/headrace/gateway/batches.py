"""The calls of `/v1/batches`: many documents handed in together, as a list or as an archive."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from headrace.domain.batch import Batch
from headrace.errors import InvalidInput, Malformed, NotFound, TooLarge, Unreadable, UnsupportedType
from headrace.gateway.caller import Access
from headrace.gateway.endpoints import tags_of
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import PAGING, page_in, page_of
from headrace.gateway.request import Request
from headrace.gateway.response import JSON, Response, Stream, json_response
from headrace.gateway.route import Route
from headrace.gateway.uploads import Fetch
from headrace.jobs.batches import Batches, BatchItem, BatchPlan
from headrace.jobs.unpacking import Bounds, unpacked
from headrace.serving.context import Priority
from headrace.serving.endpoint import Endpoint

MOST_DOCUMENTS = 100_000
FETCHED_AT_ONCE = 8
TAG = "batches"
_BATCH = {
    "id": "bat_019ac0de-0000-7000-8000-0000000000",
    "state": "running",
    "endpoint": "document-analyzer/analyze",
    "created_at": "2026-11-25T22:00:00Z",
    "finished_at": None,
    "progress": {"done": 3, "total": 40, "fraction": 0.075},
    "jobs": {"queued": 36, "running": 1, "succeeded": 3, "failed": 0, "cancelled": 0},
}


class BatchDocument(msgspec.Struct, forbid_unknown_fields=True):
    """One document: its text, the address of a file, or the digest of one that is stored here already."""

    text: str | None = None
    url: str | None = None
    digest: str | None = None
    filename: str | None = None


class BatchWish(msgspec.Struct, forbid_unknown_fields=True):
    """Documents for one endpoint; without a name the only one that takes files."""

    documents: list[BatchDocument]
    endpoint: str = ""


BATCH = Content({"type": "object", "required": ["id", "state", "progress", "jobs"]}, example=_BATCH)
_ID = Parameter("id", "The batch's id.", where="path", required=True, example=_BATCH["id"])
_ARCHIVE = {"type": "string", "contentMediaType": "application/octet-stream"}
SUBMIT = Operation(
    "Hand in many documents",
    TAG,
    f"Up to {MOST_DOCUMENTS} of them: as a list of references, or as a zip or tar archive that is streamed. Each "
    "becomes a job of its own; what fails stands in the results, the others are answered.",
    parameters=(
        Parameter("endpoint", "For archives: who answers; the only endpoint that takes files if not given."),
        Parameter("X-Headrace-Webhook", "The address that is told when all have ended.", where="header"),
        Parameter("X-Headrace-Priority", "Who goes first; `batch` if not given.", where="header", schema=Priority),
        Parameter("X-Headrace-Tags", "Segments to watch its documents by.", where="header", example="source=erp"),
    ),
    takes=(
        Content(BatchWish, example={"documents": [{"text": "Invoice number 7.", "filename": "7.txt"}]}),
        Content(_ARCHIVE, media_type="application/zip"),
        Content(_ARCHIVE, media_type="application/x-tar"),
    ),
    gives={202: BATCH},
    errors=(Malformed, InvalidInput, NotFound, TooLarge, UnsupportedType, Unreadable),
)
SHOW = Operation("Look up a batch", TAG, parameters=(_ID,), gives={200: BATCH}, errors=(NotFound,))
LIST = Operation(
    "List batches",
    TAG,
    parameters=PAGING,
    gives={200: page_of(_BATCH)},
    errors=(Malformed,),
)
CANCEL = Operation("Cancel what is left of a batch", TAG, parameters=(_ID,), gives={202: BATCH}, errors=(NotFound,))
RESULTS = Operation(
    "The results of a batch",
    TAG,
    "One JSON line a document, of those that have ended and of those that have not.",
    parameters=(_ID,),
    gives={200: Content({"type": "string"}, media_type="application/x-ndjson")},
    errors=(NotFound,),
)


@dataclass(frozen=True, slots=True)
class Intake:
    """How batches come in: `endpoints` by path, `folder` for what is being unpacked, `archive_bytes` of an upload."""

    endpoints: Mapping[str, Endpoint]
    folder: Path
    archive_bytes: int
    bounds: Bounds
    fetch: Fetch
    check: Callable[[str], str]


def routes(batches: Batches, intake: Intake) -> list[Route]:
    """A caller without an administrator's key sees the batches of its own key only."""

    async def found(request: Request) -> Batch:
        batch = await batches.look_up(request.params["id"])
        if request.caller.access < Access.ADMIN and batch.key != request.caller.id:
            raise NotFound(f"There is no batch {batch.id}.", remedy="Check its id.")
        return batch

    async def submit(request: Request) -> Response:
        if (request.header("content-type") or "").partition(";")[0].strip().lower() == JSON:
            batch = await _from_list(request, batches, intake)
        else:
            batch = await _from_archive(request, batches, intake)
        return json_response(batch.body(), status=202, headers=[("location", f"/v1/batches/{batch.id}")])

    async def shown(request: Request) -> Response:
        return json_response((await found(request)).body())

    async def listed(request: Request) -> Response:
        wanted = page_in(request)
        key = None if request.caller.access >= Access.ADMIN else request.caller.id
        items = await batches.listed(key=key, cursor=wanted.cursor, limit=wanted.limit + 1)
        page = items[: wanted.limit]
        following = page[-1].id if len(items) > wanted.limit else None
        return json_response({"items": [each.body() for each in page], "next": following})

    async def cancel(request: Request) -> Response:
        return json_response((await batches.cancel((await found(request)).id)).body(), status=202)

    async def results(request: Request) -> Stream:
        return Stream(_results(batches, (await found(request)).id), media_type="application/x-ndjson")

    return [
        Route("POST", "/v1/batches", submit, SUBMIT, access=Access.WRITE, body_limit=intake.archive_bytes),
        Route("GET", "/v1/batches", listed, LIST),
        Route("GET", "/v1/batches/{id}", shown, SHOW),
        Route("DELETE", "/v1/batches/{id}", cancel, CANCEL, access=Access.WRITE),
        Route("GET", "/v1/batches/{id}/results", results, RESULTS),
    ]


async def _results(batches: Batches, batch_id: str) -> AsyncIterator[bytes]:
    async for line in batches.results(batch_id):
        yield line


async def _from_list(request: Request, batches: Batches, intake: Intake) -> Batch:
    wish: BatchWish = await request.json(_wish)
    if not 0 < len(wish.documents) <= MOST_DOCUMENTS:
        raise InvalidInput(
            f"The batch has {len(wish.documents)} documents.", remedy=f"Send from 1 to {MOST_DOCUMENTS} of them."
        )
    plan = _plan(request, intake, wish.endpoint)
    fetching = asyncio.Semaphore(FETCHED_AT_ONCE)

    async def item(number: int, document: BatchDocument) -> BatchItem:
        async with fetching:
            return await _item(number, document, batches, intake.fetch)

    # All are looked at before the first is submitted: a batch is taken whole or not at all.
    items = await asyncio.gather(*(item(number, each) for number, each in enumerate(wish.documents)))
    return await batches.submit(plan, [partial(_same, each) for each in items])


async def _from_archive(request: Request, batches: Batches, intake: Intake) -> Batch:
    plan = _plan(request, intake, request.query.get("endpoint", ""))
    await asyncio.to_thread(intake.folder.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="batch-", dir=intake.folder) as home:
        archive, members = Path(home, "archive"), Path(home, "members")
        await asyncio.to_thread(members.mkdir)
        with await asyncio.to_thread(archive.open, "wb") as target:
            await request.save(target)
        found = await unpacked(archive, members, intake.bounds)
        return await batches.submit(plan, [partial(_read, each.path, each.filename) for each in found])


async def _item(number: int, document: BatchDocument, batches: Batches, fetch: Fetch) -> BatchItem:
    given = [each for each in (document.text, document.url, document.digest) if each is not None]
    if len(given) != 1:
        raise Malformed(
            f"Document {number} names {len(given)} of text, url and digest.", remedy="Name one of them for each."
        )
    if document.url is not None:
        upload = await fetch(document.url)
        return BatchItem(upload.content, None, document.filename or upload.filename, upload.media_type)
    if document.text is not None:
        content = document.text.encode("utf-8", "surrogatepass")
        return BatchItem(content, None, document.filename, "text/plain; charset=utf-8")
    assert document.digest is not None
    await batches.check_stored(document.digest)
    return BatchItem(None, document.digest, document.filename)


def _plan(request: Request, intake: Intake, name: str) -> BatchPlan:
    endpoint = _endpoint(intake.endpoints, name)
    key = request.header("x-headrace-key") or request.caller.id
    webhook = request.header("x-headrace-webhook")
    return BatchPlan(
        endpoint=endpoint.path,
        release_of=lambda digest: endpoint.variant_of(key, digest).release,
        priority=_priority(request).value,
        key=request.caller.id,
        request_id=request.id,
        trace=request.trace_parent,
        webhook_url=webhook and intake.check(webhook),
        tags=tags_of(request.header("x-headrace-tags")),
    )


def _endpoint(endpoints: Mapping[str, Endpoint], name: str) -> Endpoint:
    taking = {path: each for path, each in endpoints.items() if hasattr(each.argument, "from_upload")}
    if name in taking:
        return taking[name]
    if not name and len(taking) == 1:
        return next(iter(taking.values()))
    near = get_close_matches(name, taking, n=1, cutoff=0.0)
    raise InvalidInput(
        f"There is no endpoint {name[:80]!r} that takes files.",
        remedy=f"Did you mean {near[0]!r}?" if near else "No pipeline here takes files.",
    )


def _priority(request: Request) -> Priority:
    given = request.header("x-headrace-priority") or Priority.BATCH
    try:
        return Priority(given.lower())
    except ValueError as error:
        raise Malformed(f"X-Headrace-Priority is {given[:40]!r}.", remedy="Send interactive or batch.") from error


def _same(item: BatchItem) -> BatchItem:
    return item


def _read(path: Path, filename: str) -> BatchItem:
    return BatchItem(path.read_bytes(), None, filename)


_wish: msgspec.json.Decoder[Any] = msgspec.json.Decoder(BatchWish)
