"""Operation: what the contract says of one route; the OpenAPI document is made of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import HeadraceError


@dataclass(frozen=True, slots=True)
class Content:
    """A body in one media type. `schema` is a type that msgspec knows, or a JSON schema as a dict.

    One that `is_closed` may have no other fields than those of its type.
    """

    schema: Any
    media_type: str = "application/json"
    example: Any = None
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in the path, the query or a header (`where`); `schema` as in `Content`."""

    name: str
    description: str
    where: str = "query"
    schema: Any = str
    required: bool = False
    example: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: what it takes in which forms, what it gives by status, and which errors it may name.

    `gives` maps a status to its body; None is a status without one. Errors that any route may give (401, 403, 500,
    503) need not be listed. `error_form` is how a protocol that is not ours tells of errors.
    """

    summary: str
    tag: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    takes: tuple[Content, ...] = ()
    gives: Mapping[int, Content | None] = field(default_factory=dict)
    errors: tuple[type[HeadraceError], ...] = ()
    error_form: Content | None = None
