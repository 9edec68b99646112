"""The page of one document: its pages or its text with the marks, and beside them why and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from headrace_documents.report.layout import bar, kind_of, label_badge, page, verdict_badge
from headrace_documents.report.marks import Kind, Mark, marked_text, marks_of, page_overlay

SHOWN_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class PagePicture:
    """The picture of a page: the address of its file, and the size of the page in points."""

    number: int
    address: str
    width: float
    height: float


def document_page(name: str, body: Mapping[str, Any], text: str, pictures: Sequence[PagePicture]) -> str:
    """The whole page; `name` is how the document was called on the command line."""
    marks = marks_of(body)
    view = _pages(body, text, marks, pictures) if pictures else _text(text, marks)
    beside = "".join((_why(body, marks, pictures), _summary(body, pictures), _findings(body), _facts(body)))
    content = (
        f'<nav><a href="../index.html">← All documents</a></nav><header><h1 dir="auto">{escape(name)}</h1>'
        f"<p>{label_badge(body['classification'])} {verdict_badge(body['quality'])}</p></header>"
        f'<div class="split"><main>{_legend(body)}{view}</main><aside aria-label="Findings">{beside}</aside></div>'
    )
    return page(f"{name} · {body['classification']['label']}", content)


def _legend(body: Mapping[str, Any]) -> str:
    label = escape(str(body["classification"]["label"]))
    return (
        f'<ul class="legend"><li><i class="{Kind.SUPPORTS}"></i>speaks for {label}</li>'
        f'<li><i class="{Kind.OPPOSES}"></i>speaks against it</li>'
        f'<li><i class="{Kind.SUMMARY}"></i>in the summary</li></ul>'
    )


def _pages(body: Mapping[str, Any], text: str, marks: Sequence[Mark], pictures: Sequence[PagePicture]) -> str:
    figures = [_figure(picture, [mark for mark in marks if mark.page == picture.number]) for picture in pictures]
    count = body["document"]["pages"]
    if count and count > len(pictures):
        numbers = ", ".join(str(picture.number) for picture in pictures)
        figures.append(f'<p class="soft small">Shown: pages {numbers} of {count}; those with marks come first.</p>')
    return "".join(figures) + f"<details><summary>The text as it was read</summary>{_text(text, marks)}</details>"


def _figure(picture: PagePicture, marks: Sequence[Mark]) -> str:
    overlay = page_overlay(marks, width=picture.width, height=picture.height)
    return (
        f'<figure><div class="sheet"><img src="{escape(picture.address)}" alt="Page {picture.number}" '
        f'loading="lazy">{overlay}</div><figcaption>Page {picture.number}</figcaption></figure>'
    )


def _text(text: str, marks: Sequence[Mark]) -> str:
    if not text:
        return '<div class="card"><p class="soft">No text was found in this document.</p></div>'
    shown = marked_text(text[:SHOWN_CHARACTERS], marks)
    rest = len(text) - SHOWN_CHARACTERS
    note = f'<p class="soft small">{rest:,} more characters are not shown.</p>' if rest > 0 else ""
    return f'<div class="card"><div class="text" dir="auto">{shown}</div>{note}</div>'


def _why(body: Mapping[str, Any], marks: Sequence[Mark], pictures: Sequence[PagePicture]) -> str:
    explanation = body["classification"]["explanation"]
    evidence = explanation["evidence"]
    most = max((abs(each["weight"]) for each in evidence), default=1.0) or 1.0
    placed = {mark.key: mark for mark in marks}
    lines = "".join(_weight(each, placed[f"e{number}"], most, pictures) for number, each in enumerate(evidence, 1))
    sums = (
        f"base {explanation['base']:+.2f}, all other words {explanation['rest']:+.2f}, score {explanation['total']:.2f}"
    )
    return (
        f'<section class="card"><h2>Why {escape(str(body["classification"]["label"]))}</h2>'
        f'<ol class="list">{lines}</ol><p class="sum-up">{sums}</p></section>{_probabilities(body)}'
    )


def _weight(each: Mapping[str, Any], mark: Mark, most: float, pictures: Sequence[PagePicture]) -> str:
    return (
        f'<li class="weight {mark.kind}" id="{mark.key}">{_link(mark.key, mark, pictures, each["text"])}'
        f'{bar(abs(each["weight"]) / most)}<span class="num small">{each["weight"]:+.2f}</span></li>'
    )


def _link(key: str, mark: Mark | None, pictures: Sequence[PagePicture], text: str) -> str:
    """To the mark on its page when that is shown, else to the mark in the text."""
    shown = escape(text)
    if mark is None or mark.end > SHOWN_CHARACTERS or mark.start >= mark.end:
        return f'<span class="word" dir="auto">{shown}</span>'
    on_page = mark.boxes and any(picture.number == mark.page for picture in pictures)
    if pictures and not on_page:
        return f'<span class="word" dir="auto">{shown}</span>'
    return f'<a href="#{"p" if on_page else "t"}-{key}" dir="auto">{shown}</a>'


def _probabilities(body: Mapping[str, Any]) -> str:
    ranked = sorted(body["classification"]["probabilities"].items(), key=lambda pair: -pair[1])[:6]
    lines = "".join(
        f'<li class="weight"><span class="word">{escape(str(label))}</span>{bar(share)}'
        f'<span class="num small">{share:.1%}</span></li>'
        for label, share in ranked
    )
    return f'<section class="card"><h2>How likely</h2><ol class="list">{lines}</ol></section>'


def _summary(body: Mapping[str, Any], pictures: Sequence[PagePicture]) -> str:
    placed = {mark.key: mark for mark in marks_of(body)}
    lines = "".join(
        f"<li>{_link(key, placed.get(key), pictures, str(sentence['text']))}</li>"
        for number, sentence in enumerate(body["summary"]["sentences"], 1)
        for key in [f"s{number}"]
    )
    told = f'<ol class="list said">{lines}</ol>' if lines else '<p class="soft">Nothing to sum up.</p>'
    return f'<section class="card"><h2>Summary · {escape(str(body["summary"]["method"]))}</h2>{told}</section>'


def _findings(body: Mapping[str, Any]) -> str:
    found = body["quality"]["findings"]
    if not found:
        return ""
    lines = "".join(
        f"<li>{escape(str(each['detail']))}"
        + (f' <span class="soft">page {each["page"]}</span>' if each.get("page") else "")
        + "</li>"
        for each in found
    )
    return f'<section class="card"><h2>Worth knowing</h2><ul class="list">{lines}</ul></section>'


def _facts(body: Mapping[str, Any]) -> str:
    document = body["document"]
    facts = {
        "Kind": kind_of(document["media_type"]),
        "Type": document["media_type"],
        "Title": document["title"],
        "Language": document["language"],
        "Pages": document["pages"],
        "Characters": f"{document['characters']:,}",
        "Size": f"{document['size_bytes']:,} bytes",
        "Scanned": "yes, read by OCR" if document["ocr"] else None,
        "SHA-256": document["sha256"],
        "Decision": body.get("decision_id"),
        "Release": body.get("release"),
    }
    lines = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value)
    return f'<section class="card"><h2>Document</h2><dl>{lines}</dl></section>'
