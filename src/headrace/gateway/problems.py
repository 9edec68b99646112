"""The only place where an error becomes an HTTP status: problem documents by RFC 9457."""

from __future__ import annotations

from math import ceil

from headrace.errors import HeadraceError, Overloaded
from headrace.gateway.problem_kinds import KINDS, Problem
from headrace.gateway.response import Response, json_response

MEDIA_TYPE = "application/problem+json"
PAGE = "/docs/problems"


_BY_CODE = {kind.code: kind for kind in KINDS}


class MethodNotAllowed(HeadraceError):
    """The path answers other methods."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{path} does not answer {method}.", remedy=f"It answers {', '.join(allowed)}.")
        self.allowed = allowed


def kind_of(error: type[HeadraceError]) -> Problem:
    """By its own code, else by that of the nearest class above it that has one; else by whether it may be retried."""
    for each in error.__mro__:
        found = _BY_CODE.get(getattr(each, "code", ""))
        if found is not None and found.code != "internal":
            return found
    return _BY_CODE["unavailable" if error.retryable else "internal"]


def problem_response(error: HeadraceError, *, request_id: str, filename: str | None = None) -> Response:
    """The document that says what failed, and with which file, and the headers that say when or how to come again."""
    kind = kind_of(type(error))
    document: dict[str, object] = {
        "type": f"{PAGE}/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": error.outside,
        "code": error.code,
        "retryable": error.retryable,
        "request_id": request_id,
    }
    for name in ("decision_id", "job_id"):
        if value := getattr(error, name, None):
            document[name] = value
    if filename is not None:
        document["filename"] = filename
    response = json_response(document, status=kind.status)
    response.media_type = MEDIA_TYPE
    if isinstance(error, Overloaded):
        response.headers.append(("retry-after", str(max(1, ceil(error.retry_after_s)))))
    elif kind.status == 503:
        response.headers.append(("retry-after", "1"))
    elif isinstance(error, MethodNotAllowed):
        response.headers.append(("allow", ", ".join(error.allowed)))
    elif kind.status == 401:
        response.headers.append(("www-authenticate", 'Bearer realm="headrace"'))
    return response
