"""Charts as SVG text: a line over time, bars with intervals; no script, no font, readable without colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 12, 12, 22


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: its name, the value, its interval, and what it says in words."""

    name: str
    value: float
    low: float
    high: float
    words: str


def line_chart(title: str, values: Sequence[float | None], labels: Sequence[str], *, unit: str = "") -> str:
    """A line over time; a gap where there is no value, a dot where a value stands alone."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(0.0, *known), max(known) or 1.0
    inner_width, inner_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def x(place: int) -> float:
        return _LEFT + inner_width * (place / max(1, len(values) - 1))

    def y(value: float) -> float:
        return _TOP + inner_height * (1 - (value - low) / (high - low or 1.0))

    path, is_drawing = [], False
    for place, value in enumerate(values):
        if value is None:
            is_drawing = False
            continue
        path.append(f"{'L' if is_drawing else 'M'}{x(place):.1f} {y(value):.1f}")
        is_drawing = True
    dots = "".join(
        f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="2.5"/>'
        for place, value in enumerate(values)
        if value is not None
    )
    first, last = (escape(labels[0]), escape(labels[-1])) if labels else ("", "")
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}: from {_short(known[0])} to {_short(known[-1])}{escape(unit)}">'
        f'<path class="axis" d="M{_LEFT} {_TOP}V{HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" class="end">{_short(high)}{escape(unit)}</text>'
        f'<text x="{_LEFT - 6}" y="{HEIGHT - _BOTTOM}" class="end">{_short(low)}</text>'
        f'<text x="{_LEFT}" y="{HEIGHT - 6}">{first}</text>'
        f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 6}" class="end">{last}</text>'
        f'<path class="line" d="{"".join(path)}"/>{dots}</svg></figure>'
    )


def bar_chart(bars: Sequence[Bar], *, mark: float | None = None) -> str:
    """A table whose rows have bars with whiskers for intervals; `mark` draws a line at what is worth a look."""
    top = max([bar.high for bar in bars] + [mark or 0.0]) or 1.0
    rows = []
    for bar in bars:
        value, low, high = (min(1.0, each / top) * 200 for each in (bar.value, bar.low, bar.high))
        line = "" if mark is None else f'<path class="mark" d="M{mark / top * 200:.1f} 0V16"/>'
        rows.append(
            f'<tr><td>{escape(bar.name)}</td><td><svg viewBox="0 0 204 16" class="bar" role="img" '
            f'aria-label="{_short(bar.value)}, between {_short(bar.low)} and {_short(bar.high)}">'
            f'<rect x="0" y="3" width="{value:.1f}" height="10"/>{line}'
            f'<path class="whisker" d="M{low:.1f} 8H{high:.1f}M{low:.1f} 4V12M{high:.1f} 4V12"/></svg></td>'
            f'<td class="number">{_short(bar.value)}</td><td>{escape(bar.words)}</td></tr>'
        )
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
