"""Answer: the promise of values that know their own form on the wire, their text and their explanation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeGuard, runtime_checkable

from headrace.domain.observation import Observation


@runtime_checkable
class Inspected(Protocol):
    """Kept by answers whose input is to be held against the rules of quality."""

    def facts(self) -> Mapping[str, Any]:
        """What is known of the input: `media_type`, `pages`, `text`, `language`, `embedding` and so on."""
        ...


@runtime_checkable
class Observed(Protocol):
    """Kept by answers that say what is to be watched of them."""

    def observation(self) -> Observation:
        """Features, tags and contributions; called once, after the answer is out."""
        ...


@runtime_checkable
class Answer(Protocol):
    """Kept by values that an endpoint returns; other values go out as `{"output": ...}`.

    One that has a `label` as well, a method or a value, is compared by it in rollouts and with what feedback says.
    """

    def body(self) -> Mapping[str, Any]:
        """The fields on the wire, without those that the endpoint adds (decision, release, timings, degraded).

        Annotated with a `TypedDict`, they stand in the contract.
        """
        ...

    def text(self) -> str | None:
        """The text that all offsets of the answer count in."""
        ...

    def explanation(self) -> dict[str, Any] | None:
        """Everything that speaks for and against the answer, where `body` lists the strongest only.

        Long lists in it may be `Columns`.
        """
        ...

    def confidence(self) -> float | None:
        """From 0 to 1; None where there is no such thing."""
        ...


def is_answer(value: object) -> TypeGuard[Answer]:
    """Whether `value` keeps the promise; looked up once for each type, for that takes longer than a small model."""
    return _keeps(type(value))  # type: ignore[arg-type] # mypy does not know that types are hashable


@lru_cache(maxsize=1024)
def _keeps(kind: type) -> bool:
    return issubclass(kind, Answer)
