"""Alerts: rules over figures with windows, severity, hysteresis, silencing and recovery; one open alert a cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from headrace.domain.decision import new_id
from headrace.domain.report import Alert, AlertState, Cause, Severity
from headrace.errors import NotFound


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Raises when `figure` has been above `above`, or below `below`, for `for_s` seconds.

    It recovers when the figure has been on the good side of `recovers_at` (default: the bound itself) for `calm_s`.
    A figure that is not there says nothing: it neither raises nor recovers.
    """

    name: str
    figure: str
    above: float | None = None
    below: float | None = None
    severity: Severity = Severity.WARNING
    for_s: float = 0.0
    calm_s: float = 60.0
    recovers_at: float | None = None

    def is_broken(self, value: float) -> bool:
        """Whether the figure is past its bound."""
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)

    def is_calm(self, value: float) -> bool:
        """Whether it is back on the good side, with the distance that keeps an alert from flickering."""
        if self.above is not None and value > (self.above if self.recovers_at is None else self.recovers_at):
            return False
        return not (self.below is not None and value < (self.below if self.recovers_at is None else self.recovers_at))

    def in_words(self, value: float) -> str:
        """`latency_p95_ms is 812, above 500`."""
        bound = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        return f"{self.figure} is {value:.4g}, {bound}"


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that people are to be told of: `kind` is raised, or recovered."""

    kind: str
    alert: Alert


@dataclass(slots=True)
class AlertBook:
    """All alerts that are open and what became of others; changes of it are what is told.

    Pure: moments come in, nothing is sent. `related_s`: what changes within that time of an open drift alert of the
    same release is a sign of the same cause, not an alert of its own.
    """

    rules: tuple[AlertRule, ...] = ()
    related_s: float = 900.0
    open: dict[str, Alert] = field(default_factory=dict)
    _broken_since: dict[str, datetime] = field(default_factory=dict)
    _calm_since: dict[str, datetime] = field(default_factory=dict)
    _silences: dict[str, datetime] = field(default_factory=dict)

    def hold(self, figures: Mapping[str, float], *, now: datetime, release: str = "") -> list[Change]:
        """Holds the figures of this moment against all rules."""
        changes: list[Change] = []
        for rule in self.rules:
            value = figures.get(rule.figure)
            if value is None or value != value:  # noqa: PLR0124 - NaN is not itself
                continue
            key = f"{rule.name}:{release}" if release else rule.name
            changes += self._held(rule, key, value, now, release)
        return changes

    def drifted(self, release: str, causes: Iterable[Cause], *, now: datetime) -> list[Change]:
        """Raises an alert for what changed, or adds it as a sign to the one that it belongs to."""
        changes: list[Change] = []
        for cause in causes:
            key = f"drift:{release}:{cause.feature}"
            home = key if key in self.open else self._related(release, now)
            if home is not None:
                self._add(home, cause)
                continue
            alert = Alert(
                id=new_id("alt"),
                key=key,
                rule="drift",
                severity=Severity.WARNING,
                title=_title_of(cause),
                detail=cause.words,
                raised_at=now,
                release=release,
                cause=cause,
                evidence=_evidence_of(cause),
            )
            changes.append(self._raised(alert, now))
        return changes

    def renew(self, key: str, cause: Cause) -> Alert | None:
        """An open alert with what is known of its cause by now; None where that is nothing new."""
        alert = self.open.get(key)
        if alert is None or alert.cause == cause:
            return None
        self.open[key] = replace(alert.with_cause(cause, title=_title_of(cause)), evidence=_evidence_of(cause))
        return self.open[key]

    def raise_one(self, alert: Alert, *, now: datetime) -> list[Change]:
        """Raises an alert that someone else judged, unless one of its key is open."""
        return [] if alert.key in self.open else [self._raised(alert, now)]

    def calmed(self, key: str, *, is_calm: bool | None, now: datetime, calm_s: float = 60.0) -> list[Change]:
        """Recovers an open alert once what it was about has been calm for `calm_s`.

        None where it cannot be said whether it is: then it neither recovers nor begins anew to be calm.
        """
        if key not in self.open or is_calm is None:
            return []
        if not is_calm:
            self._calm_since.pop(key, None)
            return []
        since = self._calm_since.setdefault(key, now)
        if now - since < timedelta(seconds=calm_s):
            return []
        del self._calm_since[key]
        alert = self.open.pop(key).recovered(now=now)
        return [Change("recovered", alert)]

    def silence(self, alert_id: str, *, until: datetime) -> Alert:
        """Nobody is told of this alert, nor of its like, before `until`; it is still listed."""
        for key, alert in self.open.items():
            if alert.id == alert_id:
                self._silences[key] = until
                self.open[key] = alert.silenced(until=until)
                return self.open[key]
        raise NotFound(f"There is no open alert {alert_id!r}.", remedy="List them by `headrace monitor status`.")

    def hear_silences(self, stored: Iterable[Alert]) -> None:
        """Takes over what people said elsewhere of alerts that are open here."""
        for alert in stored:
            mine = self.open.get(alert.key)
            if mine is not None and mine.id == alert.id and alert.silenced_until != mine.silenced_until:
                self.open[alert.key] = replace(mine, silenced_until=alert.silenced_until)
                if alert.silenced_until is not None:
                    self._silences[alert.key] = alert.silenced_until

    def is_silenced(self, key: str, *, now: datetime) -> bool:
        """Whether nobody is to be told of alerts with this key now."""
        return key in self._silences and now < self._silences[key]

    def resume(self, alerts: Iterable[Alert]) -> None:
        """Goes on from alerts that were stored, the newest first; a silence outlives the alert that it was said of."""
        for alert in alerts:
            if alert.state is AlertState.OPEN:
                self.open[alert.key] = alert
            if alert.silenced_until is not None:
                self._silences.setdefault(alert.key, alert.silenced_until)

    def _add(self, key: str, sign: Cause) -> None:
        """Adds a sign; what is one of the cause itself says more of that, and is none besides."""
        alert = self.open[key]
        if alert.cause is not None and (alert.cause.feature, alert.cause.segment) == (sign.feature, sign.segment):
            self.renew(key, sign)
        else:
            self.open[key] = alert.with_sign(sign)

    def _held(self, rule: AlertRule, key: str, value: float, now: datetime, release: str) -> list[Change]:
        if key in self.open:
            self._broken_since.pop(key, None)
            return self.calmed(key, is_calm=rule.is_calm(value), now=now, calm_s=rule.calm_s)
        if not rule.is_broken(value):
            self._broken_since.pop(key, None)
            return []
        since = self._broken_since.setdefault(key, now)
        if now - since < timedelta(seconds=rule.for_s):
            return []
        del self._broken_since[key]
        alert = Alert(
            id=new_id("alt"),
            key=key,
            rule=rule.name,
            severity=rule.severity,
            title=rule.name.replace("_", " "),
            detail=f"{rule.in_words(value)}.",
            raised_at=now,
            release=release,
            evidence=("/v1/monitors",),
        )
        return [self._raised(alert, now)]

    def _raised(self, alert: Alert, now: datetime) -> Change:
        until = self._silences.get(alert.key)
        if until is not None and now < until:
            alert = replace(alert, silenced_until=until)
        self.open[alert.key] = alert
        return Change("raised", alert)

    def _related(self, release: str, now: datetime) -> str | None:
        recent = [
            key
            for key, alert in self.open.items()
            if alert.rule == "drift"
            and alert.release == release
            and now - alert.raised_at <= timedelta(seconds=self.related_s)
        ]
        return min(recent, key=lambda key: self.open[key].raised_at, default=None)


def _title_of(cause: Cause) -> str:
    return f"{cause.feature} has changed in {_place(cause.segment)}"


def _evidence_of(cause: Cause) -> tuple[str, ...]:
    return f"/v1/monitors?segment={cause.segment}", *(f"/v1/decisions/{each}" for each in cause.decisions)


def _place(segment: str) -> str:
    return "all decisions" if segment == "all" else segment
