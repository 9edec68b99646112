"""Data quality at the door: rules by name with thresholds, and the verdict on an input before it is trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, Protocol

from headrace.domain.report import QualityFinding, Verdict
from headrace.errors import InvalidConfiguration
from headrace.monitoring.anomaly import AnomalyDetector, single
from headrace.monitoring.garbling import garbled_share
from headrace.monitoring.near_duplicates import RecentTexts, fingerprint

MIB = 1024 * 1024
Facts = Mapping[str, Any]
"""What is known of an input: `media_type`, `declared_type`, `size_bytes`, `pages`, `encrypted`, `truncated`, `text`,
`ocr_confidence`, `language`, `embedding`, `name`, and `unreadable`, which says why it could not be read; a fact that is
left out breaks no rule. The inspector adds `mark`, the fingerprint of the text, and `unlikeness`, the share of normal
embeddings that are less unusual, if that is as much as the rule `anomaly` asks for, else None."""


class QualityCheck(Protocol):
    """One thing that is looked at. Authors add their own; `name` is what settings and findings call it."""

    @property
    def name(self) -> str:
        """The rule's name."""
        ...

    def __call__(self, facts: Facts) -> float | None:
        """How bad it is, to be held against a threshold; None when there is nothing to look at."""
        ...


@dataclass(frozen=True, slots=True)
class QualityRule:
    """A check with its thresholds: at `suspect` or worse there are doubts, at `quarantine` or worse it is kept back.

    Without thresholds a rule is off; with only `tell` it is told of and casts no doubt. `words` say it to people, with
    `{value}` and `{bound}` in them.
    """

    check: QualityCheck
    words: str
    tell: float | None = None
    suspect: float | None = None
    quarantine: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it has any threshold."""
        return self.least < math.inf

    @property
    def least(self) -> float:
        """Its lowest threshold, below which nothing is told; infinity where it has none."""
        return min(
            (bound for bound in (self.tell, self.suspect, self.quarantine) if bound is not None), default=math.inf
        )


@dataclass(frozen=True, slots=True)
class NamedCheck:
    """A check made of a function."""

    name: str
    look: Callable[[Facts], float | None]

    def __call__(self, facts: Facts) -> float | None:
        """What the function says."""
        return self.look(facts)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The verdict on an input, and what was found."""

    verdict: Verdict
    findings: tuple[QualityFinding, ...]


class Inspector:
    """Holds inputs against rules. What it learns from (recent texts, normal embeddings) are inputs that passed."""

    def __init__(self, rules: Sequence[QualityRule], *, anomaly: AnomalyDetector, recent: RecentTexts) -> None:
        self._rules = tuple((_look_of(rule.check), rule.least, rule) for rule in rules if rule.is_on)
        self._anomaly = anomaly
        self._recent = recent
        leasts = {rule.check.name: rule.least for rule in rules if rule.is_on}
        self._marks = "near_duplicate" in leasts
        self._least_unlikeness = leasts.get("anomaly", math.inf)

    def inspect(self, facts: Facts) -> Inspection:
        """The verdict; an input that is not quarantined is remembered as one of the recent, an `ok` one as normal."""
        mark = fingerprint(facts.get("text") or "") if self._marks else None
        score = None
        facts = {**facts, "mark": mark, "unlikeness": None}
        embedding = facts.get("embedding") if self._least_unlikeness < math.inf else None
        if embedding is not None:
            embedding = facts["embedding"] = single(embedding)
            score = self._anomaly.score(embedding)
            facts["unlikeness"] = self._anomaly.unlikeness(score, least=self._least_unlikeness)
        verdict, findings = Verdict.OK, []
        for look, least, rule in self._rules:
            value = look(facts)
            if value is not None and value >= least and (found := judged(rule, value)) is not None:
                worse, finding = found
                findings.append(finding)
                verdict = max(verdict, worse, key=list(Verdict).index)
        if verdict is Verdict.QUARANTINED:
            return Inspection(verdict, tuple(findings))
        if mark is not None:
            self._recent.add(mark, str(facts.get("name") or "an earlier input"))
        # Anomalies are learned from too: to leave them out would make the next ones look rarer than they are.
        if embedding is not None and all(found.code == "anomaly" for found in findings):
            self._anomaly.learn(embedding, score)
        return Inspection(verdict, tuple(findings))


def _look_of(check: QualityCheck) -> Callable[[Facts], float | None]:
    """The function itself where a check is made of one: each call more takes its time, for every input."""
    return check.look if isinstance(check, NamedCheck) else check


def judged(rule: QualityRule, value: float) -> tuple[Verdict, QualityFinding] | None:
    """What a rule says of a value; None when it is not broken."""
    bounds = ((Verdict.QUARANTINED, rule.quarantine), (Verdict.SUSPECT, rule.suspect), (Verdict.OK, rule.tell))
    for verdict, bound in bounds:
        if bound is not None and value >= bound:
            return verdict, QualityFinding(rule.check.name, rule.words.format(value=value, bound=bound))
    return None


def default_rules(*, anomaly: AnomalyDetector, recent: RecentTexts, languages: Sequence[str] = ()) -> list[QualityRule]:
    """The rules that hold when settings say nothing, each under the name that settings call it by."""

    def rule(name: str, look: Callable[[Facts], float | None], words: str, **bounds: float) -> QualityRule:
        return QualityRule(NamedCheck(name, look), words, **bounds)

    return [
        rule("type_mismatch", _type_mismatch, "Its content is not of the type that the sender said.", suspect=1.0),
        rule("size_mib", partial(_over, name="size_bytes", unit=MIB), "It has {value:.1f} MiB, {bound:g} or more."),
        rule("pages", partial(_over, name="pages", unit=1), "It has {value:.0f} pages, {bound:g} or more."),
        rule("encrypted", partial(_flag, name="encrypted"), "It is encrypted.", quarantine=1.0),
        rule(
            "unreadable",
            partial(_flag, name="unreadable"),
            "It cannot be read: it is damaged, encrypted or cut off.",
            quarantine=1.0,
        ),
        rule("empty", _empty, "No text was found in it.", suspect=1.0),
        rule("thin_text", _thinness, "It has few characters for its pages ({value:.0%} too few).", suspect=0.9),
        rule(
            "garbled",
            _garbled,
            "{value:.0%} of its text has no meaning, as when a font has no unicode map.",
            suspect=0.1,
            quarantine=0.5,
        ),
        rule("ocr_doubt", _ocr_doubt, "Its pages were read with {value:.0%} doubt.", suspect=0.4),
        rule(
            "unexpected_language",
            partial(_unexpected, languages=languages),
            f"Its language is none of those expected ({', '.join(languages)}).",
            suspect=1.0,
        ),
        rule("truncated", partial(_flag, name="truncated"), "It ends before its end.", suspect=1.0),
        rule("near_duplicate", partial(_near, recent=recent), "It is nearly the same as a recent one.", tell=1.0),
        rule(
            "anomaly",
            _unlikeness,
            "It is more unusual than {value:.1%} of normal inputs.",
            suspect=1.0 - anomaly.level,
        ),
    ]


def configured(rules: Sequence[QualityRule], table: Mapping[str, Mapping[str, float]]) -> list[QualityRule]:
    """The rules with the thresholds of settings: `{"garbled": {"suspect": 0.2}, "anomaly": {}}`; empty turns one off.

    Raises:
        InvalidConfiguration: a rule or a threshold is unknown.
    """
    names = [rule.check.name for rule in rules]
    for name, bounds in table.items():
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.0)
            raise InvalidConfiguration(f"[quality.rules] {name!r} is no rule.", remedy=f"Did you mean {near[0]!r}?")
        for bound in bounds:
            if bound not in {"tell", "suspect", "quarantine"}:
                raise InvalidConfiguration(
                    f"[quality.rules.{name}] {bound!r} is no threshold.", remedy="There are tell, suspect, quarantine."
                )
    return [_with_bounds(rule, table[rule.check.name]) if rule.check.name in table else rule for rule in rules]


def _with_bounds(rule: QualityRule, bounds: Mapping[str, float]) -> QualityRule:
    return replace(rule, tell=bounds.get("tell"), suspect=bounds.get("suspect"), quarantine=bounds.get("quarantine"))


def _over(facts: Facts, name: str, unit: float) -> float | None:
    value = facts.get(name)
    return None if value is None else float(value) / unit


def _flag(facts: Facts, name: str) -> float | None:
    return 1.0 if facts.get(name) else None


def _type_mismatch(facts: Facts) -> float | None:
    declared, found = facts.get("declared_type"), facts.get("media_type")
    return None if not declared or not found else float(declared != found)


def _empty(facts: Facts) -> float | None:
    text = facts.get("text")
    return None if text is None else float(not text.strip())


def _thinness(facts: Facts, *, a_page: float = 200.0) -> float | None:
    """How far it is below `a_page` characters a page: 0 at that or more, 1 without any."""
    text, pages = facts.get("text"), facts.get("pages")
    if not pages or not text or not text.strip():
        return None
    return float(max(0.0, 1.0 - len(text) / (a_page * pages)))


def _garbled(facts: Facts) -> float | None:
    text = facts.get("text")
    return garbled_share(str(text)) if text else None


def _ocr_doubt(facts: Facts) -> float | None:
    confidence = facts.get("ocr_confidence")
    return None if confidence is None else 1.0 - float(confidence)


def _unexpected(facts: Facts, languages: Sequence[str]) -> float | None:
    language = facts.get("language")
    return None if not languages or not language else float(language not in languages)


def _near(facts: Facts, recent: RecentTexts) -> float | None:
    mark = facts.get("mark")
    return None if mark is None or recent.near(mark) is None else 1.0


def _unlikeness(facts: Facts) -> float | None:
    unlikeness: float | None = facts.get("unlikeness")
    return unlikeness
