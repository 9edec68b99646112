"""The report of the watch as a page for people, with charts, or as Markdown; the page needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import sqrt

from headrace.cli.charts import Bar, bar_chart, line_chart
from headrace.cli.monitor_glance import at_a_glance, share_of, telling, told_apart, took_of, worth_of
from headrace.cli.monitor_words import glossary, in_words
from headrace.domain.report import (
    Alert,
    Cause,
    DriftReport,
    Effect,
    Estimate,
    Explanation,
    Measured,
    MonitorReport,
    Scorecard,
    WatchState,
)

WORTH_A_LOOK = 0.2
"""A population stability index above this is usually held to be a change that matters."""
_MOST_DECISIONS = 10
_CANCELS = 4
"""Parts that together are so many times larger than what is left of them cancel each other out."""
_FOUND = "<tr><th>found</th><th class='number'>inputs</th><th></th></tr>"

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d7dce3;--page:#fff;--bar:#2f6fb2;--warn:#a83a16;
--good:#1e7145;--card:#f5f7fa}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf1;--soft:#a3adba;--line:#3a4452;--page:#14181e;--bar:#74aee8;
--warn:#ff9c75;--good:#6fce9b;--card:#1d232b}}
*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:2rem 1.2rem;font:16px/1.5 system-ui,sans-serif;
color:var(--ink);background:var(--page)}h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.soft,figcaption{color:var(--soft)}figcaption{font-size:.9rem}.verdict{font-size:1.15rem;margin:.8rem 0;
padding:.8rem 1rem;border-left:5px solid var(--good);background:var(--card)}.verdict.bad{border-color:var(--warn)}
table{border-collapse:collapse;width:100%;font-size:.92rem}td,th{padding:.3rem .6rem .3rem 0;text-align:left;
vertical-align:top;border-bottom:1px solid var(--line)}td.number,th.number{text-align:right;white-space:nowrap}
figure{margin:0}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1rem}
svg{width:100%;height:auto;fill:none}svg text{fill:var(--soft);font-size:11px}svg .end{text-anchor:end}
svg .axis{stroke:var(--line)}svg .line{stroke:var(--bar);stroke-width:2}circle,rect{fill:var(--bar)}svg.bar{width:204px}
.whisker{stroke:var(--ink);stroke-width:1.2}.mark{stroke:var(--warn);stroke-dasharray:2 2}
code{font-size:.85em;overflow-wrap:anywhere}.alert{border:1px solid var(--line);border-left:5px solid var(--warn);
padding:.6rem 1rem;margin:.6rem 0}.alert p{margin:.3rem 0}details{margin:.6rem 0}summary{cursor:pointer}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;font-size:.92rem}dd{margin:0;color:var(--soft)}
"""


def verdict(report: MonitorReport, alerts: Sequence[Alert]) -> str:
    """One sentence: what a person who reads nothing else should know."""
    drift = report.drift
    if not drift.window.decisions:
        return "Nothing was decided in this time."
    if alerts:
        others = f", and {len(alerts) - 1} more" if len(alerts) > 1 else ""
        return f"Something has changed: {alerts[0].title}{_most_of_all(drift.effects, alerts[0].cause)}{others}."
    if drift.state is WatchState.LEARNING:
        return "Still learning what is normal; nothing can be said of changes yet."
    moved = [effect for effect in drift.effects if effect.psi.low > WORTH_A_LOOK]
    if moved:
        return f"No alarm, yet {moved[0].feature} in {moved[0].segment} differs from the reference."
    return "All is as it was in the reference."


def _most_of_all(effects: Sequence[Effect], cause: Cause | None) -> str:
    """The segment in which a cause has moved furthest, where that is not the one in which it was noticed first."""
    moved = [each for each in effects if cause is not None and each.feature == cause.feature]
    if cause is None or not moved or moved[0].segment == cause.segment or moved[0].psi.low <= WORTH_A_LOOK:
        return ""
    return f", most of all in {moved[0].segment}"


def html_page(report: MonitorReport, alerts: Sequence[Alert]) -> str:
    """A page that stands by itself."""
    drift = report.drift
    head = f"{drift.window.decisions:,} decisions from {_moment(drift.window.start)} to {_moment(drift.window.end)}"
    reference = _reference(drift)
    bad = " bad" if alerts else ""
    body = [
        "<header><h1>What the watch saw</h1>",
        f"<p class='soft'>{escape(head)}, {escape(reference)}.<br>",
        f"Release <code>{escape(drift.release)}</code></p></header>",
        f"<p class='verdict{bad}'>{escape(verdict(report, alerts))}</p>",
        f"<p>{escape(' '.join(at_a_glance(report)))}</p>",
        f"<p class='soft'>{escape(drift.note)}</p>" if drift.note else "",
        _alerts(alerts),
        _over_time(report),
        _effects(drift.effects),
        "".join(_explanation(each, drift) for each in drift.explanations),
        _estimates(report.estimates),
        "".join(_scorecard(each) for each in report.scorecards),
        _quality(report),
    ]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>What the watch saw</title><style>{STYLE}</style><body>{''.join(body)}</body></html>"
    )


def markdown(report: MonitorReport, alerts: Sequence[Alert]) -> str:
    """The same in Markdown, for a wiki or a pull request."""
    drift = report.drift
    lines = [
        "# What the watch saw",
        "",
        f"**{verdict(report, alerts)}**",
        "",
        " ".join(at_a_glance(report)),
        "",
        f"{drift.window.decisions:,} decisions, {_moment(drift.window.start)} to {_moment(drift.window.end)}.",
        f"Release `{drift.release}`. {drift.note}",
    ]
    for alert in alerts:
        lines += ["", f"## Alert: {alert.title}", "", alert.detail]
        lines += [f"- also {sign.words}" for sign in alert.signs]
        if alert.cause and alert.cause.decisions:
            lines += [f"- look at `{each}`" for each in alert.cause.decisions[:_MOST_DECISIONS]]
    lines += [
        "",
        "## How far, and where",
        "",
        "| feature | segment | PSI (95 %) | what happened |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {each.feature} | {each.segment} | {_interval(each.psi)} | {each.words} |" for each in telling(drift.effects)
    ]
    lines += ["", "## How right", ""]
    lines += [
        "| segment | decisions | estimated | by labels | macro-F1 | calibration error |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.segment} | {each.decisions:,} | {share_of(each.estimated)} | {share_of(each.realised)} "
        f"| {_figure(each.macro_f1)} | {_figure(each.calibration_error)} |"
        for each in told_apart(report.estimates)
    ]
    for card in report.scorecards:
        lines += ["", f"## What it was worth: {card.metric} (better: {card.direction})", ""]
        lines += ["| segment | decisions | outcomes | worth of a decision | all took |", "|---|---|---|---|---|"]
        lines += [
            f"| {row.group} | {row.decisions:,} | {row.outcomes:,} | {worth_of(row, card.unit)} "
            f"| {took_of(row, card.currency)} |"
            for row in card.rows
        ]
        if card.thresholds:
            lines += ["", "| confidence of at least | answered | to people | worth in all |", "|---|---|---|---|"]
        lines += [
            f"| {each.threshold:.0%} | {each.answered:,} | {each.handed_over:,} | {each.worth:,.2f} |"
            for each in card.thresholds
        ]
    return "\n".join(lines) + "\n"


def _reference(drift: DriftReport) -> str:
    if drift.reference is None:
        return "there is no reference yet"
    if drift.is_given:
        return f"held against what the release said of {drift.reference.decisions:,} examples that it had not seen"
    return f"held against its first {drift.reference.decisions:,} decisions, since {_moment(drift.reference.start)}"


def _alerts(alerts: Sequence[Alert]) -> str:
    if not alerts:
        return ""
    shown = []
    for alert in alerts:
        signs = "".join(f"<li>{escape(sign.words)}</li>" for sign in alert.signs[:8])
        shown.append(
            f"<section class='alert'><strong>{escape(alert.title)}</strong> <span class='soft'>{alert.severity.value}, "
            f"since {_moment(alert.raised_at)}</span><p>{escape(alert.detail)}</p>"
            f"{f'<p>Signs of the same:</p><ul>{signs}</ul>' if signs else ''}{_decisions(alert.cause)}</section>"
        )
    return f"<h2>Open alerts</h2>{''.join(shown)}"


def _decisions(cause: Cause | None) -> str:
    if cause is None or not cause.decisions:
        return ""
    items = "".join(
        f"<li><code>headrace decisions show {escape(each)}</code></li>" for each in cause.decisions[:_MOST_DECISIONS]
    )
    return f"<details open><summary>{len(cause.decisions)} decisions that show it</summary><ul>{items}</ul></details>"


def _over_time(report: MonitorReport) -> str:
    points = report.points
    if not points:
        return ""
    span_s = (points[-1].start - points[0].start).total_seconds()
    written = "%H:%M:%S" if span_s < 600 else "%H:%M" if span_s < 24 * 3600 else "%d %b"
    labels = [point.start.strftime(written) for point in points]
    sure = [None if point.confidence is None else 100 * point.confidence for point in points]
    right = [None if point.accuracy is None else 100 * point.accuracy for point in points]
    charts = [
        line_chart("Decisions", [float(point.decisions) for point in points], labels),
        line_chart("How sure the answers were, in the mean", sure, labels, unit=" %"),
        line_chart("How right they are by estimate", right, labels, unit=" %"),
        line_chart("Inputs in doubt", [100 * point.suspect for point in points], labels, unit=" %"),
        line_chart("Time of an answer, in the median", [point.duration_ms for point in points], labels, unit=" ms"),
    ]
    return f"<h2>Over time</h2><div class='charts'>{''.join(charts)}</div>"


def _effects(effects: Sequence[Effect]) -> str:
    if not effects:
        return ""
    bars = [
        Bar(f"{each.feature} · {each.segment}", each.psi.value, each.psi.low, each.psi.high, each.words)
        for each in telling(effects)
    ]
    return (
        "<h2>How far, and where</h2><p class='soft'>What differs most from the reference, and in which segment; "
        "<em>all</em> is every decision. The bar is the population stability index with its 95 % interval: 0 is not at "
        f"all; the dashed line at {WORTH_A_LOOK:g} is where a look pays.</p>"
        f"{bar_chart(bars, mark=WORTH_A_LOOK)}{_glossary(each.feature for each in telling(effects))}"
    )


def _glossary(names: Iterable[str]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in glossary(names))
    return f"<details><summary>What these are</summary><dl>{items}</dl></details>" if items else ""


def _explanation(explanation: Explanation, drift: DriftReport) -> str:
    def told(value: float, sign: str = "") -> str:
        return f"{100 * value:{sign}.1f} %" if explanation.is_share else f"{value:{sign}.3f}"

    whole = abs(explanation.after - explanation.before)
    # Of a change that is the small rest of large ones, shares of several hundred percent would only puzzle.
    cancels = sum(abs(each.change) for each in explanation.causes) > _CANCELS * whole
    rows = "".join(
        f"<tr><td>{escape(each.name)}</td><td class='number'>{told(each.change, '+')}</td>"
        f"{'' if cancels else f'<td class=number>{each.share:.0%}</td>'}</tr>"
        for each in explanation.causes
    )
    by = f", by {escape(explanation.by)}" if explanation.by else ""
    against = ", and some go against it" if any(each.share < 0 for each in explanation.causes) else ""
    against = ", for most of them cancel out" if cancels else against
    return (
        f"<h2>What explains the {escape(explanation.of)}{by}</h2><p class='soft'>It went from "
        f"{told(explanation.before)} to {told(explanation.after)}. The parts add up to that{against}."
        f"{' So much may be chance.' if _may_be_chance(explanation, drift) else ''}</p>"
        "<table><thead><tr><th>part</th><th class='number'>moved it by</th>"
        f"{'' if cancels else '<th class=number>of the whole change</th>'}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _may_be_chance(explanation: Explanation, drift: DriftReport) -> bool:
    """Whether a share that has not changed differs by as much between so many decisions, once in twenty times."""
    counts = [span.decisions for span in (drift.reference, drift.window) if span is not None and span.decisions]
    if not explanation.is_share or len(counts) < 2:
        return False
    share = (explanation.before + explanation.after) / 2
    return abs(explanation.after - explanation.before) < 1.96 * sqrt(share * (1 - share) * sum(1 / n for n in counts))


def _estimates(estimates: Sequence[Estimate]) -> str:
    if not estimates:
        return ""
    notes = {each.note for each in estimates}
    common = notes.pop() if len(notes) == 1 else ""
    rows = "".join(
        f"<tr><td>{escape(each.segment)}</td><td class='number'>{each.decisions:,}</td>"
        f"<td class='number'>{share_of(each.estimated)}</td><td class='number'>{share_of(each.realised)}</td>"
        f"<td class='number'>{each.labels:,}</td><td class='number'>{_figure(each.macro_f1)}</td>"
        f"<td class='number'>{_figure(each.calibration_error)}</td>"
        f"<td>{'' if each.is_trusted else '<strong>distrusted.</strong> '}"
        f"{escape('' if common else each.note)}</td></tr>"
        for each in told_apart(estimates)
    )
    return (
        "<h2>How right the answers are</h2><p class='soft'>Estimated from how sure the answers were, with an interval, "
        f"and counted where feedback has said what was right. {escape(common)}</p><table><thead><tr><th>segment</th>"
        "<th class='number'>decisions</th>"
        "<th class='number'>estimated</th><th class='number'>by labels</th><th class='number'>labels</th>"
        "<th class='number'>macro-F1</th><th class='number'>calibration error</th><th></th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _scorecard(card: Scorecard) -> str:
    rows = "".join(
        f"<tr><td>{escape(row.group)}</td><td class='number'>{row.decisions:,}</td>"
        f"<td class='number'>{row.outcomes:,}</td><td class='number'>{escape(worth_of(row, card.unit))}</td>"
        f"<td class='number'>{escape(took_of(row, card.currency))}</td></tr>"
        for row in card.rows
    )
    return (
        f"<h2>What it was worth: {escape(card.metric)}</h2><p class='soft'>The mean of decisions with an outcome, and "
        f"its 95 % interval; better is {escape(card.direction)}. {escape(card.note)}</p><table>"
        "<thead><tr><th>segment</th><th class='number'>decisions</th><th class='number'>outcomes</th>"
        "<th class='number'>worth of a decision</th><th class='number'>all took</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{_thresholds(card)}"
    )


def _thresholds(card: Scorecard) -> str:
    """What other thresholds would have been worth, the best one marked."""
    best = max((each.worth for each in card.thresholds), default=0.0)
    rows = "".join(
        f"<tr><td>{each.threshold:.0%}</td><td class='number'>{each.answered:,}</td>"
        f"<td class='number'>{each.handed_over:,}</td>"
        f"<td class='number'>{each.worth:,.2f}{' (best)' if each.worth == best else ''}</td></tr>"
        for each in card.thresholds
    )
    if not rows:
        return ""
    return (
        "<h3>Had it answered only when it was surer</h3><p class='soft'>Decisions with an outcome, replayed: those "
        f"below the threshold would have gone to people. Worth in {escape(card.unit)}.</p><table><thead><tr>"
        "<th>confidence of at least</th><th class='number'>answered</th><th class='number'>to people</th>"
        f"<th class='number'>worth in all</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _quality(report: MonitorReport) -> str:
    quality = report.quality
    rows = "".join(
        f"<tr><td>{escape(code)}</td><td class='number'>{times:,}</td><td>{escape(in_words(code))}</td></tr>"
        for code, times in quality.findings[:12]
    )
    share = quality.suspect / quality.decisions if quality.decisions else 0.0
    return (
        f"<h2>Inputs</h2><p>{quality.suspect:,} of {quality.decisions:,} ({share:.1%}) were in doubt; "
        f"{quality.quarantined:,} are in quarantine.</p>"
        f"{f'<table><thead>{_FOUND}</thead><tbody>{rows}</tbody></table>' if rows else ''}"
    )


def _interval(measured: Measured) -> str:
    return f"{measured.value:.3f} ({measured.low:.3f} to {measured.high:.3f})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _moment(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
