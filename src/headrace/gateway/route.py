'''Route: one method on one path, who may call it, what answers it, and what the contract says of it.

How to add a noun to the HTTP face:

1. Write `gateway/<noun>.py` with one function that takes the parts it needs (stores, queues: nothing of `assembly`)
   and gives a list of routes:

       def routes(jobs: JobStore) -> list[Route]:
           """The calls of `/v1/jobs`."""
           async def shown(request: Request) -> Response:
               job = await asyncio.to_thread(jobs.find, request.params["id"])
               if job is None:
                   raise NotFound(f"There is no job {request.params['id']!r}.", remedy="Check the id.")
               return json_response(fields_of(job))

           return [Route("GET", "/v1/jobs/{id}", shown, SHOWN, access=Access.READ)]

2. Add one line to `assembly/gateway.py`, which calls it with the parts of the running platform.

A handler runs on the event loop: blocking work goes through `asyncio.to_thread`. It reads `request.params`, `.query`,
`.number(...)`, `.header(name)`, `await request.body()` or `await request.json(decoder)`, and knows `request.caller`,
`request.id` and `request.trace`. It gives a `Response` (`json_response`, `text_response`) or a `Stream`
(`event_stream(...)`), and raises errors of `headrace.errors`, which `problems.py` turns into problem documents.
When the client goes away the handler is cancelled. `Operation` is the route's part of `/openapi.json`: give each
body a type and an example, for the whole contract is fuzzed in the tests.
'''

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import unquote

from headrace.gateway.caller import Access
from headrace.gateway.operation import Operation
from headrace.gateway.request import Request
from headrace.gateway.response import Response, Stream

Handler = Callable[[Request], Awaitable[Response | Stream]]

Target = TypeVar("Target")
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """`path` may hold names in braces: `/v1/jobs/{id}`. `body_limit` in bytes; None is that of the server."""

    method: str
    path: str
    handle: Handler
    operation: Operation
    access: Access = Access.READ
    body_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Found(Generic[Target]):
    """What stands at a path, with the values in it."""

    target: Target
    params: Mapping[str, str]


class Router(Generic[Target]):
    """Finds what stands at a method and a path: those without names by one look-up, the others by their pattern."""

    def __init__(self, targets: Iterable[tuple[str, str, Target]]) -> None:
        self._exact: dict[str, dict[str, Found[Target]]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Target]]] = []
        patterns: dict[str, dict[str, Target]] = {}
        for method, path, target in targets:
            is_exact = "{" not in path
            if method in (self._exact if is_exact else patterns).get(path, ()):
                raise ValueError(f"Two routes answer {method} {path}.")
            if is_exact:
                self._exact.setdefault(path, {})[method] = Found(target, _NOTHING)
            else:
                patterns.setdefault(path, {})[method] = target
        for path in sorted(patterns, key=_openness):
            self._patterns.append((_pattern(path), patterns[path]))

    def find(self, method: str, path: str) -> Found[Target] | tuple[str, ...]:
        """The target with its values, or the methods that the path knows instead: none when there is no such path."""
        methods = self._exact.get(path)
        if methods is not None and (found := _of(methods, method)) is not None:
            return found
        allowed = set(methods or ())
        for pattern, those in self._patterns:
            matched = pattern.fullmatch(path)
            if matched is None:
                continue
            if (target := _of(those, method)) is not None:
                return Found(target, {name: unquote(value) for name, value in matched.groupdict().items()})
            allowed |= set(those)
        return tuple(sorted(allowed))


def _of(methods: Mapping[str, Target], method: str) -> Target | None:
    # What GET answers, HEAD answers; the server leaves the body out.
    return methods.get("GET" if method == "HEAD" else method)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )


def _openness(path: str) -> tuple[int, str]:
    """Paths with fewer names come first: `/v1/jobs/{id}` before `/v1/{pipeline}/{endpoint}`."""
    return path.count("{"), path
