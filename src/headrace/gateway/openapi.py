"""The OpenAPI 3.1 document, generated from the routes: what is not written there is not in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.errors import (
    Forbidden,
    HeadraceError,
    Malformed,
    ServiceFailed,
    TooLarge,
    Unauthenticated,
    UnsupportedType,
)
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Parameter
from headrace.gateway.problems import MEDIA_TYPE, PAGE, kind_of
from headrace.gateway.route import Route
from headrace.serving.plain import schema_of

_ANYWHERE: tuple[type[HeadraceError], ...] = (ServiceFailed,)
_WITH_KEYS: tuple[type[HeadraceError], ...] = (Unauthenticated, Forbidden)


class ProblemDocument(msgspec.Struct):
    """A problem by RFC 9457; `code` is stable and for machines."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    decision_id: str | msgspec.UnsetType = msgspec.UNSET
    job_id: str | msgspec.UnsetType = msgspec.UNSET


def document_of(routes: Sequence[Route], *, version: str, needs_keys: bool) -> dict[str, Any]:
    """The contract of `routes`; `needs_keys` says whether callers have to send one."""
    types = _types_of(routes)
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=schema_of, ref_template="#/components/schemas/{name}"
    )
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    for content in (each for route in routes for each in route.operation.takes if each.is_closed):
        _close(by_type[id(content.schema)], components)
    writer = _Writer(by_type, needs_keys=needs_keys)
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda each: (each.path, each.method)):
        paths.setdefault(route.path, {})[route.method.lower()] = writer.operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headrace",
            "version": version,
            "description": f"Errors are problem documents by RFC 9457; their kinds are described at {PAGE}.",
        },
        "tags": [{"name": tag} for tag in sorted({route.operation.tag for route in routes})],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }


class _Writer:
    """Writes operations; `schemas` are those of the types, by their identity."""

    def __init__(self, schemas: dict[int, Any], *, needs_keys: bool) -> None:
        self._schemas = schemas
        self._needs_keys = needs_keys

    def operation(self, route: Route) -> dict[str, Any]:
        """One method of one path."""
        told = route.operation
        written: dict[str, Any] = {
            "operationId": _operation_id(route),
            "summary": told.summary,
            "tags": [told.tag],
            "responses": self._responses(route),
        }
        if told.description:
            written["description"] = told.description
        if told.parameters:
            written["parameters"] = [self._parameter(each) for each in told.parameters]
        if told.takes:
            content = {each.media_type: self._content(each) for each in told.takes}
            written["requestBody"] = {"required": True, "content": content}
        if self._needs_keys:
            written["security"] = [] if route.access is Access.OPEN else [{"key": []}]
        return written

    def _responses(self, route: Route) -> dict[str, Any]:
        responses: dict[str, Any] = {}
        for status, content in sorted(route.operation.gives.items()):
            responses[str(status)] = {"description": _meaning(status)}
            if content is not None:
                responses[str(status)]["content"] = {content.media_type: self._content(content)}
        needs_key = self._needs_keys and route.access is not Access.OPEN
        errors = (*route.operation.errors, *_of_input(route), *(_WITH_KEYS if needs_key else (Forbidden,)), *_ANYWHERE)
        kinds = {kind.code: kind for kind in map(kind_of, errors)}
        for kind in sorted(kinds.values(), key=lambda each: each.status):
            response = responses.setdefault(str(kind.status), {"description": ""})
            titles = [response["description"], kind.title] if response["description"] else [kind.title]
            response["description"] = "; ".join(titles)
            content = response.setdefault("content", {})
            content[MEDIA_TYPE] = {"schema": self._schemas[id(ProblemDocument)]}
            if (form := route.operation.error_form) is not None:
                content[form.media_type] = self._content(form)
            if kind.status in {429, 503}:
                response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
        return dict(sorted(responses.items()))

    def _parameter(self, parameter: Parameter) -> dict[str, Any]:
        written: dict[str, Any] = {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.description,
            "required": parameter.required,
            "schema": self._schema(parameter.schema),
        }
        if parameter.example is not None:
            written["example"] = parameter.example
        return written

    def _content(self, content: Content) -> dict[str, Any]:
        written: dict[str, Any] = {"schema": self._schema(content.schema)}
        if content.example is not None:
            written["example"] = content.example
        return written

    def _schema(self, schema: Any) -> Any:
        return schema if isinstance(schema, dict) else self._schemas[id(schema)]


def _of_input(route: Route) -> tuple[type[HeadraceError], ...]:
    """What may be wrong with whatever is sent: a body may be none, too large or compressed, and a value may be none."""
    told = route.operation
    if told.takes:
        return (Malformed, TooLarge, UnsupportedType)
    return (Malformed,) if route.path.startswith("/v1/") or told.parameters else ()


def _types_of(routes: Sequence[Route]) -> list[Any]:
    found: dict[int, Any] = {id(ProblemDocument): ProblemDocument}
    for route in routes:
        told = route.operation
        given = [each.schema for each in (*told.gives.values(), told.error_form) if each is not None]
        for schema in (*given, *(each.schema for each in told.takes), *(each.schema for each in told.parameters)):
            if not isinstance(schema, dict):
                found[id(schema)] = schema
    return list(found.values())


def _close(schema: Any, components: dict[str, Any]) -> None:
    """Says of all objects within that they have no other properties, where nothing is said of that yet."""
    pending, seen = [schema], set[int]()
    for each in pending:
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            if isinstance(each.get("properties"), dict):
                each.setdefault("additionalProperties", False)
            pending += each.values()
            if isinstance(reference := each.get("$ref"), str):
                pending.append(components.get(reference.rpartition("/")[2]))


def _operation_id(route: Route) -> str:
    words = [word for word in route.path.replace("{", "").replace("}", "").replace("-", "_").split("/") if word]
    return "_".join([route.method.lower(), *words])


def _meaning(status: int) -> str:
    return {200: "Done", 201: "Made", 202: "Taken on, answered later", 204: "Done, nothing to say"}.get(status, "")
