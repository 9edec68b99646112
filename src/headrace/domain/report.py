"""What the watch says: drift, quality, estimates, scorecards and alerts. Shares are from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and the interval that holds the truth with the level that its maker names (95 % where none is named)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, and how many decisions were seen in it."""

    start: datetime
    end: datetime
    decisions: int


@dataclass(frozen=True, slots=True)
class Effect:
    """How far one feature of one segment has moved from its reference.

    `psi`: population stability index, 0 is not at all, above 0.2 is worth a look. `jensen_shannon` is in bits, 0 to 1.
    `wasserstein` is in standard deviations of the reference, for numbers only. `words` say it to people.
    """

    feature: str
    segment: str
    reference_decisions: int
    decisions: int
    psi: Measured
    jensen_shannon: Measured
    wasserstein: float | None
    words: str


@dataclass(frozen=True, slots=True)
class ExplainedChange:
    """What one cause adds to a change of the decisions: all of them add up to the whole change, exactly."""

    name: str
    change: float
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A change of the decisions, `before` to `after`, divided among its causes; `of` says what changed, `by` into what.

    `is_share`: it is a share of decisions, from 0 to 1.
    """

    of: str
    before: float
    after: float
    causes: tuple[ExplainedChange, ...]
    by: str = ""
    is_share: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """What an alarm is about: the feature, the segment, what happened in words, and decisions to look at and replay.

    `evidence` is the capital of the test over what its share of alpha asks for: 1 is just enough, and it is in powers
    of ten, so 2 is a hundred times that.
    """

    feature: str
    segment: str
    words: str
    evidence: float
    decisions: tuple[str, ...] = ()


class WatchState(StrEnum):
    """Whether there is a reference to hold decisions against."""

    LEARNING = "learning"
    WATCHING = "watching"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A window held against its reference. `note` says in words what limits it: still learning, few decisions.

    `is_given`: the reference came with the release, and is of examples that it had not seen.
    """

    release: str
    state: WatchState
    reference: Span | None
    window: Span
    effects: tuple[Effect, ...] = ()
    causes: tuple[Cause, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    dropped: int = 0
    skewed: int = 0
    note: str = ""
    is_given: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """How good the answers of a segment are: `estimated` without labels, `realised` where labels have come.

    `is_trusted` is False once labels showed that the estimate was wrong; `note` says when and why.
    """

    segment: str
    decisions: int
    estimated: Measured | None
    labels: int = 0
    realised: Measured | None = None
    macro_f1: float | None = None
    calibration_error: float | None = None
    is_trusted: bool = True
    note: str = ""


class Verdict(StrEnum):
    """What becomes of an input: answered; answered with doubts that are told; kept and not answered."""

    OK = "ok"
    SUSPECT = "suspect"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """A rule that an input broke: `code` is the rule's name, `detail` says what was found and what was allowed."""

    code: str
    detail: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The inputs of a window held against their rules: how many were suspect, and how often each rule was broken."""

    decisions: int
    suspect: int
    quarantined: int
    findings: tuple[tuple[str, int], ...]


class QuarantineState(StrEnum):
    """Where a kept input stands."""

    HELD = "held"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class QuarantinedInput:
    """An input that was kept instead of answered; `digest` names its stored bytes, `decision_id` the answer it got.

    `input_digest` is of the input as it came, "" where that was not noted.
    """

    id: str
    created_at: datetime
    endpoint: str
    release: str
    digest: str
    filename: str
    media_type: str
    size_bytes: int
    findings: tuple[QualityFinding, ...]
    tags: tuple[tuple[str, str], ...] = ()
    state: QuarantineState = QuarantineState.HELD
    released_at: datetime | None = None
    decision_id: str | None = None
    input_digest: str = ""

    def released(self, *, now: datetime, decision_id: str | None) -> QuarantinedInput:
        """After an operator let it go; `decision_id` is the answer that it got then."""
        return replace(self, state=QuarantineState.RELEASED, released_at=now, decision_id=decision_id)


@dataclass(frozen=True, slots=True)
class ScorecardRow:
    """Figures of one group of decisions.

    `value` is the mean worth, in the metric's unit, of those with an outcome; `cost_s` is the time that all took, and
    `tokens` what language models read and wrote for them, which cost `tokens_cost` in the scorecard's `currency`.
    """

    group: str
    decisions: int
    outcomes: int
    value: Measured | None
    cost_s: float
    tokens: int = 0
    tokens_cost: float = 0.0


@dataclass(frozen=True, slots=True)
class ThresholdWorth:
    """What answering only at a confidence of `threshold` or more would have been worth; the others go to people."""

    threshold: float
    answered: int
    handed_over: int
    worth: float


@dataclass(frozen=True, slots=True)
class Scorecard:
    """One business metric by variant and segment; `unit` and `direction` as its declaration says.

    `late` outcomes came after the time that is declared for them and do not count; `note` says what else limits it.
    `thresholds` replay the decisions with an outcome; none where nothing says what a person costs.
    """

    metric: str
    unit: str
    direction: str
    rows: tuple[ScorecardRow, ...]
    late: int = 0
    note: str = ""
    thresholds: tuple[ThresholdWorth, ...] = ()
    currency: str = ""


class AlertState(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    RECOVERED = "recovered"


class Severity(StrEnum):
    """How soon a person should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should know of. `key` names the cause: at most one alert a key is open.

    `signs` are further causes that came up while it was open; `evidence` are paths that show what it is about.
    """

    id: str
    key: str
    rule: str
    severity: Severity
    title: str
    detail: str
    raised_at: datetime
    state: AlertState = AlertState.OPEN
    release: str = ""
    cause: Cause | None = None
    signs: tuple[Cause, ...] = ()
    evidence: tuple[str, ...] = ()
    recovered_at: datetime | None = None
    silenced_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Not recovered yet."""
        return self.state is AlertState.OPEN

    def recovered(self, *, now: datetime) -> Alert:
        """After what it was about has gone."""
        return replace(self, state=AlertState.RECOVERED, recovered_at=now)

    def silenced(self, *, until: datetime) -> Alert:
        """Nobody is told of it before `until`."""
        return replace(self, silenced_until=until)

    def with_cause(self, cause: Cause, *, title: str) -> Alert:
        """With what is known of its cause by now."""
        others = tuple(each for each in self.signs if (each.feature, each.segment) != (cause.feature, cause.segment))
        return replace(self, cause=cause, title=title, detail=cause.words, signs=others)

    def with_sign(self, cause: Cause) -> Alert:
        """One more sign of the same cause; a sign that is known is renewed."""
        others = tuple(each for each in self.signs if (each.feature, each.segment) != (cause.feature, cause.segment))
        return replace(self, signs=(*others, cause))


@dataclass(frozen=True, slots=True)
class MonitorStatus:
    """The watch at a glance."""

    release: str
    state: WatchState
    decisions: int
    reference_decisions: int
    needed: int
    dropped: int
    open_alerts: tuple[Alert, ...]
    estimates: tuple[Estimate, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Point:
    """One window of time, for charts: shares and medians of all decisions in it; `accuracy` is estimated."""

    start: datetime
    decisions: int
    confidence: float | None
    suspect: float
    duration_ms: float | None
    labels: tuple[tuple[str, float], ...]
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """Everything that is known of a window of one release, for people."""

    drift: DriftReport
    quality: QualityReport
    estimates: tuple[Estimate, ...]
    points: tuple[Point, ...]
    scorecards: tuple[Scorecard, ...] = ()


class Reports(Protocol):
    """Makes reports of what was seen. Blocking."""

    def releases(self) -> list[str]:
        """Every release that was ever seen, the one with the newest decisions first."""
        ...

    def status(self, release: str | None = None) -> list[MonitorStatus]:
        """Each release at a glance, or one."""
        ...

    def report(self, release: str, *, window_s: float = 3600.0, field: str | None = None) -> MonitorReport:
        """The last `window_s` seconds against the reference; `field` limits segments to those of one tag."""
        ...
