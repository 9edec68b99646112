"""The door: every input is held against the rules of quality before its answer goes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.domain.report import QualityFinding, Verdict
from headrace.serving.context import Context


class Arrival(msgspec.Struct, frozen=True):
    """An input with the value that was made of it, which has not gone out yet."""

    endpoint: str
    question: object
    value: Any
    context: Context


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that was taken on and could not be answered, and why; `begun` is a moment of `monotonic()`."""

    endpoint: str
    question: object
    failure: Exception
    context: Context
    begun: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The verdict on an input, with findings in words."""

    verdict: Verdict
    findings: tuple[QualityFinding, ...] = ()


Inspect = Callable[[Arrival], Awaitable[Quality | None]]
"""Gives the verdict, None where there is nothing to look at; raises `Quarantined` for what it keeps back."""

Mourn = Callable[[Failed], Awaitable[None]]
"""Told of every question that failed, before its caller is; must not raise."""


def joined(own: Mapping[str, Any] | None, found: Quality | None) -> dict[str, Any] | None:
    """What the answer says of its own quality, and what was found at the door, as one: the worse verdict counts."""
    if found is None:
        return None if own is None else dict(own)
    verdicts = [each.value for each in Verdict]
    own = own or {"verdict": Verdict.OK.value, "findings": []}
    known = {_code(each) for each in own["findings"]}
    findings = [*own["findings"], *(_shown(each) for each in found.findings if each.code not in known)]
    return {"verdict": max(str(own["verdict"]), found.verdict.value, key=verdicts.index), "findings": findings}


def codes_of(quality: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The findings that cast doubt, by code; none where the verdict is ok."""
    if quality is None or quality["verdict"] == Verdict.OK.value:
        return ()
    findings: Sequence[Any] = quality["findings"]
    return tuple(_code(each) for each in findings)


def _code(finding: Any) -> str:
    return str(finding["code"])


def _shown(finding: QualityFinding) -> dict[str, Any]:
    shown: dict[str, Any] = {"code": finding.code, "detail": finding.detail}
    return shown if finding.page is None else shown | {"page": finding.page}
