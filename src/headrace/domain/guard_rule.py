"""GuardRule: what a rollout watches so that nobody is served worse, and how much it lets pass."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from headrace.errors import InvalidInput

ERRORS, DEGRADED, LATENCY = "error_share", "degraded_share", "latency"
LOW_CONFIDENCE, DISAGREEMENT, ACCURACY = "low_confidence_share", "disagreement", "accuracy"
OUTCOME = "outcome:"
"""Beginning of the name of a guard on an outcome that callers report: `outcome:minutes_saved`."""


class Need(StrEnum):
    """Whether a promotion waits for the figures of a guard; all of them can roll back."""

    ALWAYS = "always"
    WHEN_SEEN = "when_seen"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class GuardRule:
    """What one guard looks at, and how much it lets pass. For it, a key is bad or it is not.

    `weight` is its part of the chance of a false rollback. `tolerance` is how many times as often the candidate may be
    bad before that is harm; `margin` by how much of all keys it may be bad more often and still be no worse. `limit`
    is, by guard: a multiple of the usual 95th percentile of latency, a confidence, the share that may disagree, the
    value below which an outcome is bad. `span` has the least and the greatest value of an outcome that is a quantity:
    then a key is bad with the chance that its value is from the greatest, so that the share of bad keys follows the
    mean.
    """

    name: str
    weight: float
    tolerance: float = 1.0
    margin: float = 0.02
    limit: float = 0.0
    need: Need = Need.WHEN_SEEN
    span: tuple[float, float] | None = None

    @property
    def compares(self) -> bool:
        """Whether both releases are measured by it; a disagreement is between the two."""
        return self.name != DISAGREEMENT


STANDARD_GUARDS = (
    GuardRule(ERRORS, weight=0.5, need=Need.ALWAYS),
    GuardRule(DEGRADED, weight=0.1, need=Need.ALWAYS),
    GuardRule(LATENCY, weight=0.1, tolerance=1.5, margin=0.05, limit=1.5),
    GuardRule(LOW_CONFIDENCE, weight=0.1, tolerance=1.25, margin=0.05, limit=0.5),
    GuardRule(DISAGREEMENT, weight=0.1, limit=0.5, need=Need.NEVER),
    GuardRule(ACCURACY, weight=0.1, need=Need.NEVER),
)
"""Errors take half of the chance of a false alarm: they are the guard that has to be fastest."""

_WRITTEN = re.compile(
    r"(?P<name>[a-z_]+(?::[A-Za-z0-9_.-]{1,80})?)"
    r"(?:=(?P<low>-?\d+(?:\.\d+)?)(?:\.\.(?P<high>-?\d+(?:\.\d+)?))?)?"
)
_REMEDY = (
    "Write error_share, degraded_share, latency=1.5, low_confidence_share=0.5, disagreement=0.5, accuracy, "
    "outcome:NAME=WORST or outcome:NAME=LEAST..GREATEST."
)


def guards_of(written: Iterable[str], *, margin: float | None = None) -> tuple[GuardRule, ...]:
    """The standard guards with those that an operator writes, such as `accuracy` or `outcome:minutes_saved=0..10`.

    A promotion waits for the figures of each that is written. All but the errors share what these leave of alpha.
    `margin`, from 0 to 1, takes the place of the margin of each.

    Raises:
        InvalidInput: one is unknown or does not parse, or the margin is no share.
    """
    if margin is not None and not 0 < margin < 1:
        raise InvalidInput(f"The margin {100 * margin:g} % is no share.", remedy="Choose between 0 and 100 percent.")
    rules = {rule.name: rule for rule in STANDARD_GUARDS}
    for each in written:
        rule = _rule(each, rules)
        rules[rule.name] = rule
    weight = (1 - rules[ERRORS].weight) / (len(rules) - 1)
    return tuple(
        replace(
            rule,
            weight=rule.weight if rule.name == ERRORS else weight,
            margin=rule.margin if margin is None else margin,
        )
        for rule in rules.values()
    )


def _rule(written: str, known: dict[str, GuardRule]) -> GuardRule:
    found = _WRITTEN.fullmatch(written.strip())
    name = found["name"] if found else ""
    if found is None or (name not in known and not name.startswith(OUTCOME)):
        raise InvalidInput(f"{written!r} is no guard.", remedy=_REMEDY)
    rule = replace(known.get(name, GuardRule(name, weight=0.1)), need=Need.ALWAYS)
    if found["low"] is None:
        if name.startswith(OUTCOME):
            raise InvalidInput(f"The guard {written!r} does not say which values are bad.", remedy=_REMEDY)
        return rule
    if found["high"] is None:
        if name == DISAGREEMENT and not 0 < float(found["low"]) < 1:
            raise InvalidInput(f"{written!r} is no share that may disagree.", remedy="Choose between 0 and 1.")
        return replace(rule, limit=float(found["low"]))
    span = (float(found["low"]), float(found["high"]))
    if span[0] >= span[1] or not name.startswith(OUTCOME):
        raise InvalidInput(f"{written!r} has no range from the least to the greatest value.", remedy=_REMEDY)
    return replace(rule, span=span)
