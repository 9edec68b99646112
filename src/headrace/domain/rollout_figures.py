"""What a rollout has counted, and what its judge made of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Marks:
    """Keys that met something bad, counted once each at the first time, by where they were then.

    `share` is the candidate's share of traffic at that time: by chance alone, a bad key is one of its own that often.
    """

    share: float
    candidate: int = 0
    champion: int = 0


@dataclass(frozen=True, slots=True)
class Stratum:
    """Keys counted once each, good or bad, while each had the chance `share` of being sent to the candidate."""

    share: float
    candidate: int = 0
    champion: int = 0
    bad_candidate: int = 0
    bad_champion: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Keys whose question both releases answered: how many in all, and how many one of them or each answered badly."""

    both: int = 0
    only_candidate: int = 0
    only_champion: int = 0
    each_badly: int = 0


@dataclass(frozen=True, slots=True)
class GuardFigures:
    """All that was counted for one guard."""

    marks: tuple[Marks, ...] = ()
    strata: tuple[Stratum, ...] = ()
    pairs: Pairs = Pairs()

    @property
    def is_seen(self) -> bool:
        """Whether anything was measured."""
        return bool(self.pairs.both) or any(each.candidate + each.champion for each in self.strata)


@dataclass(frozen=True, slots=True)
class Figures:
    """The sufficient figures of a rollout: counts by guard, and how many keys arrived where."""

    guards: Mapping[str, GuardFigures] = field(default_factory=dict)
    arrivals: tuple[Stratum, ...] = ()

    def of(self, guard: str) -> GuardFigures:
        """Those of one guard; empty ones where nothing was counted."""
        return self.guards.get(guard, GuardFigures())


class Verdict(StrEnum):
    """What the judge says should be done."""

    STEP = "step"
    PROMOTE = "promote"
    HOLD = "hold"
    ROLL_BACK = "roll_back"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """What one guard says. `evidence` of harm is an e-value; at `needed` it rolls back.

    `worst` is the most by which the candidate may be bad more often, `best` the least (a confidence sequence);
    `allowed` is how large `worst` may be for the next step, None where the guard does not compare or is not waited for.
    """

    guard: str
    evidence: float
    needed: float
    best: float
    worst: float
    allowed: float | None
    keys: int
    state: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with all that led to it: judging the same rollout with these figures gives the same again.

    `ratio_evidence` is against the planned split. `at_step_s` is how long the rollout had stood at its step, on a
    clock that never jumps. `revision` is that of the rollout which was judged.
    """

    rollout_id: str
    revision: int
    at: datetime
    verdict: Verdict
    reason: str
    ratio_evidence: float
    at_step_s: float
    findings: tuple[GuardFinding, ...]
    figures: Figures
