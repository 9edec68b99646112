"""Marks: the words and sentences of an answer, to be drawn on the pages or in the text where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from itertools import pairwise
from typing import Any


class Kind(StrEnum):
    """What a mark stands for; also its class in the style sheet."""

    SUPPORTS = "pro"
    OPPOSES = "con"
    SUMMARY = "sum"


@dataclass(frozen=True, slots=True)
class Mark:
    """One span of the text that an answer points at; `key` names it within its document, `title` says what it is."""

    key: str
    kind: Kind
    title: str
    start: int
    end: int
    page: int | None
    boxes: tuple[tuple[float, float, float, float], ...]


def marks_of(body: Mapping[str, Any]) -> list[Mark]:
    """Every mark of an answer, sentences of the summary first so that the words are drawn above them."""
    sentences = [
        _mark(f"s{number}", Kind.SUMMARY, "in the summary", sentence)
        for number, sentence in enumerate(body["summary"]["sentences"], 1)
        if sentence.get("start") is not None
    ]
    words = [
        _mark(f"e{number}", _kind(each["weight"]), f"{each['text']}: {each['weight']:+.2f}", each)
        for number, each in enumerate(body["classification"]["explanation"]["evidence"], 1)
    ]
    return sentences + words


def _kind(weight: float) -> Kind:
    return Kind.SUPPORTS if weight >= 0 else Kind.OPPOSES


def _mark(key: str, kind: Kind, title: str, found: Mapping[str, Any]) -> Mark:
    boxes = tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in found.get("boxes") or ())
    return Mark(key, kind, title, int(found["start"]), int(found["end"]), found.get("page"), boxes)


def marked_text(text: str, marks: Sequence[Mark], *, prefix: str = "t") -> str:
    """`text` as HTML with each mark around its span; overlapping marks share the stretch that they overlap in.

    Everything of the text is escaped. The first stretch of each mark has the id `prefix-key`.
    """
    spans = [mark for mark in marks if 0 <= mark.start < mark.end <= len(text)]
    cuts = sorted({0, len(text)} | {mark.start for mark in spans} | {mark.end for mark in spans})
    named: set[str] = set()
    parts = []
    for start, end in pairwise(cuts):
        stretch = escape(text[start:end])
        for mark in (each for each in spans if each.start <= start and end <= each.end):
            name = "" if mark.key in named else f' id="{prefix}-{mark.key}"'
            named.add(mark.key)
            stretch = f'<mark class="{mark.kind}"{name} title="{escape(mark.title)}">{stretch}</mark>'
        parts.append(stretch)
    return "".join(parts)


def page_overlay(marks: Iterable[Mark], *, width: float, height: float) -> str:
    """The marks of one page as SVG in points, to be laid over its picture; each leads to its line in the list."""
    drawn = "".join(_boxes(mark) for mark in marks)
    return (
        f'<svg viewBox="0 0 {width:.2f} {height:.2f}" preserveAspectRatio="none" role="group" '
        f'aria-label="Marks on this page">{drawn}</svg>'
    )


def _boxes(mark: Mark) -> str:
    margin = 0.0 if mark.kind is Kind.SUMMARY else 1.0
    rects = "".join(
        f'<rect x="{x0 - margin:.2f}" y="{y0 - margin:.2f}" width="{max(0.0, x1 - x0) + 2 * margin:.2f}" '
        f'height="{max(0.0, y1 - y0) + 2 * margin:.2f}" rx="1.5"/>'
        for x0, y0, x1, y1 in mark.boxes
    )
    return (
        f'<a id="p-{mark.key}" href="#{mark.key}" class="{mark.kind}" aria-label="{escape(mark.title)}">'
        f"<title>{escape(mark.title)}</title>{rects}</a>"
    )
