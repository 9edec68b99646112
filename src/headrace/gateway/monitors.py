"""The calls of `/v1/monitors`: how each release is, and a report of a window against its reference."""

from __future__ import annotations

import asyncio

from headrace.domain.report import MonitorStatus, Reports
from headrace.errors import Malformed, NotFound
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route

TAG = "monitors"
LONGEST_WINDOW_S = 31 * 24 * 3600
USUAL_WINDOW_S = 3600
_STATUS = {
    "release": "sha256:4f1c",
    "state": "watching",
    "decisions": 12_000,
    "reference_decisions": 500,
    "needed": 500,
    "dropped": 0,
    "open_alerts": [],
    "estimates": [],
    "notes": [],
}
_PAGE = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "object"}}, "next": {"type": "null"}},
    "required": ["items", "next"],
}
LIST = Operation(
    "How each release is",
    TAG,
    "Whether it is still learning its reference, how right its answers are held to be, and its open alerts.",
    gives={200: Content(_PAGE, example={"items": [_STATUS], "next": None})},
)
REPORT = Operation(
    "A window held against the reference",
    TAG,
    "Effect sizes with intervals by feature and segment, causes, what explains the change, quality, estimates, "
    "and what decisions were worth by the outcomes that are declared.",
    parameters=(
        Parameter("release", "The release, or `latest`.", where="path", required=True, example="latest"),
        Parameter("window_s", f"Seconds back from now, {USUAL_WINDOW_S} if not given.", schema=int, example=3600),
        Parameter("segment", "Segments of this tag only.", example="source"),
    ),
    gives={200: Content({"type": "object", "required": ["drift", "quality", "estimates", "points", "scorecards"]})},
    errors=(NotFound, Malformed),
)


def routes(reports: Reports) -> list[Route]:
    """`reports` reads what processes saw."""

    async def listed(_request: Request) -> Response:
        found: list[MonitorStatus] = await asyncio.to_thread(reports.status)
        return json_response({"items": found, "next": None})

    async def reported(request: Request) -> Response:
        window_s = request.number("window_s", default=USUAL_WINDOW_S, least=1, most=LONGEST_WINDOW_S)
        field = request.query.get("segment") or None
        known = await asyncio.to_thread(reports.releases)
        named = request.params["release"]
        release = known[0] if named == "latest" and known else named
        if release not in known:
            raise NotFound(f"Nothing was seen of the release {named[:80]!r}.", remedy="List them: /v1/monitors.")
        return json_response(await asyncio.to_thread(reports.report, release, window_s=float(window_s), field=field))

    return [Route("GET", "/v1/monitors", listed, LIST), Route("GET", "/v1/monitors/{release}", reported, REPORT)]
