"""The gateway itself: finds the route of a call, lets its handler answer, and counts and times what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from opentelemetry.trace import SpanKind

from headrace.errors import HeadraceError, NotFound, ServiceFailed
from headrace.gateway.caller import ANYONE, Access, Caller
from headrace.gateway.problems import MethodNotAllowed, problem_response
from headrace.gateway.request import Exchange, Request
from headrace.gateway.response import Response, Stream
from headrace.gateway.route import Found, Route, Router
from headrace.telemetry import Metrics, OpenSpan, Spans

CLIENT_GONE = 499
"""Counted under this status, which no client sees."""

SERVER_FAILED = 500
"""From here on a status speaks of the server."""

UNKNOWN_PATH = "unknown"

Authenticate = Callable[[Request, Access], Awaitable[Caller]]
Tell = Callable[[str, Mapping[str, Any]], None]


async def open_to_all(_request: Request, _access: Access) -> Caller:
    """Asks nobody who they are."""
    return ANYONE


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the gateway takes: bytes of a body, and seconds in which the body has to come."""

    body_bytes: int = 50 * 1024 * 1024
    read_s: float = 60.0


@dataclass(slots=True)
class _Target:
    """A route with all that a call needs of it made beforehand; without `query_names` its query is passed over."""

    route: Route
    body_limit: int
    seconds: Any
    query_names: frozenset[str] | None = None
    statuses: dict[int, Any] = field(default_factory=dict)


class Gateway:
    """Answers each exchange by one of `routes`; `tell` hears of failures that nobody foresaw.

    With `spans` each call is one, within the trace of its caller.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        metrics: Metrics,
        tell: Tell,
        bounds: Bounds,
        authenticate: Authenticate = open_to_all,
        spans: Spans | None = None,
    ) -> None:
        self.routes = tuple(routes)
        self._metrics = metrics
        self._tell = tell
        self._bounds = bounds
        self._authenticate = authenticate
        self._spans = spans
        self._router = Router([(route.method, route.path, self._target(route)) for route in routes])
        self._unknown = self._target_of_unknown_paths()

    async def __call__(self, exchange: Exchange) -> None:
        """Answers one call; cancelled when its client goes away."""
        begun = perf_counter()
        found = self._router.find(exchange.method, exchange.path)
        target = found.target if isinstance(found, Found) else self._unknown
        params = found.params if isinstance(found, Found) else {}
        request = Request(exchange, params, body_limit=target.body_limit, read_s=self._bounds.read_s)
        if self._spans is not None:
            request.traced(self._opened(self._spans, request, target))
        status = CLIENT_GONE
        try:
            response = await self._answer(request, target, found)
            status = response.status
            await self._send(response, request, exchange)
        except (asyncio.CancelledError, ConnectionError):
            # Nobody is left to answer.
            status = CLIENT_GONE
        except Exception as error:  # noqa: BLE001 - an answer that broke in its middle; its connection ends for it
            status = SERVER_FAILED
            self._tell("request_failed", _place_of(request) | {"exc_info": error})
        finally:
            self._note(target, status, perf_counter() - begun)
            if request.span is not None:
                _end(request.span, status)

    async def _answer(
        self, request: Request, target: _Target, found: Found[_Target] | tuple[str, ...]
    ) -> Response | Stream:
        try:
            if isinstance(found, Found):
                request.caller = await self._authenticate(request, target.route.access)
                if request.has_query and target.query_names is not None:
                    request.refuse_all_but(target.query_names)
                return await target.route.handle(request)
            return problem_response(_nothing_there(request, found), request_id=request.id)
        except HeadraceError as error:
            self._tell_failure(request, error)
            return problem_response(error, request_id=request.id, filename=request.filename)
        # The loop over calls must live whatever a handler raises; the text may hold secrets and goes to the log alone.
        except Exception as error:  # noqa: BLE001
            self._tell("request_failed", _place_of(request) | {"exc_info": error})
            failed = ServiceFailed("Something failed here.", remedy="The log has it under this request_id.")
            return problem_response(failed, request_id=request.id)

    async def _send(self, response: Response | Stream, request: Request, exchange: Exchange) -> None:
        headers = [
            ("content-type", response.media_type),
            ("x-request-id", request.id),
            ("traceparent", request.trace_parent),
            *response.headers,
            *request.told,
        ]
        if isinstance(response, Response):
            exchange.answer(response.status, headers, response.body)
            return
        pieces = response.pieces
        try:
            outflow = exchange.answer_in_pieces(response.status, headers)
            async for piece in pieces:
                await outflow.send(piece)
            outflow.end()
        finally:
            if close := getattr(pieces, "aclose", None):
                await close()

    def _tell_failure(self, request: Request, error: HeadraceError) -> None:
        if isinstance(error, ServiceFailed) or error.code == "internal" or error.outside != str(error):
            facts = _place_of(request) | {"code": error.code, "detail": str(error)}
            self._tell("request_failed", facts | {"exc_info": error})

    def _opened(self, spans: Spans, request: Request, target: _Target) -> OpenSpan:
        # The path of a call that leads nowhere is the caller's to choose, and would make names without end.
        route = UNKNOWN_PATH if target is self._unknown else target.route.path
        return spans.begin(
            f"{request.method} {route}",
            parent=request.header("traceparent") or "",
            kind=SpanKind.SERVER,
            http__request__method=request.method,
            http__route=route,
            request_id=request.id,
        )

    def _target(self, route: Route) -> _Target:
        limit = self._bounds.body_bytes if route.body_limit is None else route.body_limit
        names = frozenset(each.name for each in route.operation.parameters if each.where == "query") or None
        if names is None and route.path.startswith("/v1/"):
            names = frozenset()
        return _Target(route, limit, self._metrics.request_seconds.labels(route.path), names)

    def _target_of_unknown_paths(self) -> _Target:
        # Paths that nobody knows share one label: a scanner must not fill the metrics.
        return _Target(None, 0, self._metrics.request_seconds.labels(UNKNOWN_PATH))  # type: ignore[arg-type] # no route

    def _note(self, target: _Target, status: int, seconds: float) -> None:
        counter = target.statuses.get(status)
        if counter is None:
            path = target.route.path if target is not self._unknown else UNKNOWN_PATH
            counter = target.statuses[status] = self._metrics.requests.labels(path, str(status))
        counter.inc()
        target.seconds.observe(seconds)


def _nothing_there(request: Request, allowed: tuple[str, ...]) -> HeadraceError:
    if allowed:
        return MethodNotAllowed(request.method, request.path, allowed=allowed)
    return NotFound(f"Nothing stands at {request.path}.", remedy="See /docs for what does.")


def _place_of(request: Request) -> dict[str, Any]:
    return {"request_id": request.id, "trace_id": request.trace, "path": request.path}


def _end(span: OpenSpan, status: int) -> None:
    span.tell(http__response__status_code=status)
    if status >= SERVER_FAILED:
        span.fail(f"HTTP {status}")
    span.end()
