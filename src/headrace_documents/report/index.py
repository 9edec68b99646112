"""The first page of the report: one row a document, the failures below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from headrace_documents.report.layout import bar, kind_of, label_badge, page, verdict_badge

CHIPS = 4
SUMMARY_CHARACTERS = 240


@dataclass(frozen=True, slots=True)
class Row:
    """One document: its name, the address of its page, and what the table shows of the answer."""

    name: str
    address: str
    label: str
    cells: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that could not be analysed, and why."""

    name: str
    reason: str


def row_of(name: str, address: str, body: Mapping[str, Any]) -> Row:
    """What the table keeps of an answer; the answer itself may be forgotten."""
    classification = body["classification"]
    document = body["document"]
    kind = ", ".join(
        str(part) for part in (kind_of(document["media_type"]), _pages(document), document["language"]) if part
    )
    evidence = classification["explanation"]["evidence"]
    folder, _, base = name.rpartition("/")
    chips = "".join(
        f'<span class="chip{"" if each["weight"] >= 0 else " con"}" dir="auto">{escape(each["text"])}</span>'
        for each in [each for each in evidence if any(map(str.isalnum, each["text"]))][:CHIPS]
    )
    cells = (
        f'<td class="file"><a href="{escape(address)}" dir="auto" title="{escape(name)}">{escape(base)}</a>'
        f'<small class="soft">{escape(folder)}</small>'
        f'<small class="soft">{escape(kind)}</small></td>'
        f"<td>{label_badge(classification)}{bar(classification['confidence'])}</td>"
        f'<td class="why">{chips}</td><td class="says" dir="auto">{escape(_summary(body))}</td>'
        f"<td>{verdict_badge(body['quality'])}</td>"
    )
    return Row(name, address, str(classification["label"]), cells)


def index_page(rows: Sequence[Row], failures: Sequence[Failure]) -> str:
    """The whole page."""
    counts = Counter(row.label for row in rows)
    labels = "".join(f"<li><b>{count}</b> {escape(label)}</li>" for label, count in counts.most_common())
    body = "".join(f"<tr>{row.cells}</tr>" for row in rows)
    failed = f"<li><b>{len(failures)}</b> could not be analysed</li>" if failures else ""
    content = (
        "<header><h1>What these documents are, and why</h1>"
        f'<ul class="facts"><li><b>{len(rows)}</b> documents</li>{labels}{failed}</ul></header>'
        '<main><div class="card scroll"><table><thead><tr><th scope="col">Document</th><th scope="col">Label</th>'
        '<th scope="col">Because of</th><th scope="col">Summary</th><th scope="col">Quality</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>{_failures(failures)}</main>"
    )
    return page("Headrace report", content)


def _failures(failures: Sequence[Failure]) -> str:
    if not failures:
        return ""
    lines = "".join(
        f'<tr><td class="file" dir="auto">{escape(failure.name)}</td><td>{escape(failure.reason)}</td></tr>'
        for failure in failures
    )
    return (
        '<h2>Not analysed</h2><div class="card scroll"><table><thead><tr><th scope="col">Document</th>'
        f'<th scope="col">Why, and what to do</th></tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _pages(document: Mapping[str, Any]) -> str:
    count = document["pages"]
    return "" if not count else f"{count} page" if count == 1 else f"{count} pages"


def _summary(body: Mapping[str, Any]) -> str:
    whole = " ".join(" ".join(str(each["text"]).split()) for each in body["summary"]["sentences"])
    return whole if len(whole) <= SUMMARY_CHARACTERS else whole[:SUMMARY_CHARACTERS].rsplit(" ", 1)[0] + " …"
