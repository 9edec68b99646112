"""What every page of the report has: its head, its style, and small pieces that several pages show."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from headrace_documents import media_types
from headrace_documents.report.style import STYLE

# Documents are untrusted, and so is whatever of them stands in a report: nothing in it may run, load or be sent.
POLICY = (
    "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)

KINDS = {
    media_types.PDF: "PDF",
    media_types.DOCX: "Word",
    media_types.DOC: "Word 97",
    media_types.PPTX: "PowerPoint",
    media_types.PPT: "PowerPoint 97",
    media_types.XLSX: "Excel",
    media_types.XLS: "Excel 97",
    media_types.ODT: "OpenDocument text",
    media_types.ODS: "OpenDocument sheet",
    media_types.ODP: "OpenDocument slides",
    media_types.HTML: "HTML",
    media_types.EPUB: "EPUB",
    media_types.EML: "mail",
    media_types.MSG: "Outlook mail",
    media_types.RTF: "RTF",
    media_types.TXT: "text",
    media_types.CSV: "CSV",
    media_types.MARKDOWN: "Markdown",
    media_types.PNG: "PNG",
    media_types.JPEG: "JPEG",
    media_types.TIFF: "TIFF",
}


def page(title: str, content: str) -> str:
    """A whole HTML page; `title` is escaped here, `content` was by whoever made it."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{content}</body></html>\n"
    )


def bar(share: float) -> str:
    """A bar filled by `share`, 0 to 1; the figure itself stands beside it in words."""
    return f'<span class="bar" aria-hidden="true"><i style="width:{min(max(share, 0.0), 1.0) * 100:.1f}%"></i></span>'


def label_badge(classification: Mapping[str, Any]) -> str:
    """The label with how sure it is."""
    sure = escape(certainty(float(classification["confidence"])))
    label = escape(str(classification["label"]))
    return f'<span class="badge"><span class="label">{label}</span> <span class="sure">{sure}</span></span>'


def certainty(share: float) -> str:
    """A probability in words; what only rounds to certain is not called so."""
    return ">99%" if 0.99 < share < 1 else f"{share:.0%}"


def kind_of(media_type: str) -> str:
    """A short name for people."""
    return KINDS.get(media_type, media_type)


def verdict_badge(quality: Mapping[str, Any]) -> str:
    """`ok` or `suspect`, with what speaks against it."""
    details = " ".join(str(finding["detail"]) for finding in quality["findings"])
    verdict = escape(str(quality["verdict"]))
    return f'<span class="verdict {verdict}" title="{escape(details)}">{verdict}</span>'
