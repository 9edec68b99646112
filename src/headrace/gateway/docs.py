"""The pages for people: `/docs` describes every call, `/docs/problems` every kind of problem."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any

import msgspec

from headrace.errors import NotFound
from headrace.gateway.caller import Access
from headrace.gateway.openapi import document_of
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.problem_kinds import KINDS, Problem
from headrace.gateway.problems import PAGE
from headrace.gateway.request import Request
from headrace.gateway.response import Response
from headrace.gateway.route import Route

HTML = "text/html; charset=utf-8"
TAG = "contract"
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid #d5dde5}
details{border:1px solid #d5dde5;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}summary{cursor:pointer}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f6f9;border-radius:4px}code{padding:.1em .3em}
pre{padding:.6rem;overflow-x:auto;white-space:pre-wrap}table{border-collapse:collapse}
td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}
.method{display:inline-block;min-width:4.5rem;font-weight:600;color:#0b5cad}
@media(prefers-color-scheme:dark){body{color:#dde6ee;background:#12181e}code,pre{background:#1d262f}
details,h2{border-color:#33414e}.method{color:#7cbcff}}
"""
SECURITY = [
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("referrer-policy", "no-referrer"),
]

DOCUMENT = Operation("The contract as OpenAPI 3.1", TAG, gives={200: Content({"type": "object"})})
PAGES = Operation("The contract for people", TAG, gives={200: Content(str, media_type="text/html")})
PROBLEM = Operation(
    "What one kind of problem means, and what to do",
    TAG,
    parameters=(Parameter("code", "As in a problem's `code`.", where="path", required=True, example="overloaded"),),
    gives={200: Content(str, media_type="text/html")},
    errors=(NotFound,),
)


def routes(described: Sequence[Route], *, version: str, needs_keys: bool) -> list[Route]:
    """The calls that describe `described` and themselves; what is told is made by the first who asks, once."""
    by_code = {kind.code: kind for kind in KINDS}

    @cache
    def contract() -> dict[str, Any]:
        return document_of([*described, *own], version=version, needs_keys=needs_keys)

    document_bytes = cache(lambda: msgspec.json.encode(contract()))
    page_bytes = cache(lambda: _framed("Headrace", _contract(contract())))
    problems_bytes = cache(lambda: _framed("Problems", "".join(map(_problem, KINDS))))

    async def document(_request: Request) -> Response:
        return Response(document_bytes())

    async def page(_request: Request) -> Response:
        return _html(page_bytes())

    async def problems(_request: Request) -> Response:
        return _html(problems_bytes())

    async def problem(request: Request) -> Response:
        kind = by_code.get(request.params["code"])
        if kind is None:
            raise NotFound("There is no such kind of problem.", remedy=f"See {PAGE} for all of them.")
        return _html(_framed(kind.title, _problem(kind)))

    own = [
        Route("GET", "/openapi.json", document, DOCUMENT, access=Access.OPEN),
        Route("GET", "/docs", page, PAGES, access=Access.OPEN),
        Route("GET", PAGE, problems, PAGES, access=Access.OPEN),
        Route("GET", f"{PAGE}/{{code}}", problem, PROBLEM, access=Access.OPEN),
    ]
    return own


def _html(page: bytes) -> Response:
    return Response(page, media_type=HTML, headers=list(SECURITY))


def _framed(title: str, body: str) -> bytes:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    ).encode()


def _problem(kind: Problem) -> str:
    return (
        f"<h2 id='{kind.code}'><a href='{PAGE}/{kind.code}'>{kind.code}</a> ({kind.status}): {escape(kind.title)}</h2>"
        f"<p>{escape(kind.meaning)}</p><p><b>What to do.</b> {escape(kind.remedy)}</p>"
    )


def _contract(document: dict[str, Any]) -> str:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    intro = (
        f"<p>{escape(document['info']['description'])} The same for machines: "
        f"<a href='/openapi.json'>/openapi.json</a>. All problems: <a href='{PAGE}'>{PAGE}</a>.</p>"
    )
    return intro + "".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in sorted(by_tag.items()))


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    head = f"<span class=method>{method.upper()}</span> <code>{escape(path)}</code> {escape(operation['summary'])}"
    parts = [
        f"<details><summary>{head}</summary>",
        f"<p>{escape(operation.get('description', ''))}</p>",
    ]
    rows = [
        f"<tr><td><code>{escape(each['name'])}</code><td>{each['in']}<td>{escape(each['description'])}"
        for each in operation.get("parameters", [])
    ]
    if rows:
        parts.append(f"<table>{''.join(rows)}</table>")
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        example = content.get("example")
        shown = "" if example is None else f"<pre>{escape(msgspec.json.encode(example).decode())}</pre>"
        parts.append(f"<p>Takes <code>{media_type}</code></p>{shown}")
    statuses = [
        f"<tr><td><code>{status}</code><td>{escape(response['description'])}"
        for status, response in operation["responses"].items()
    ]
    return f"{''.join(parts)}<table>{''.join(statuses)}</table></details>"
