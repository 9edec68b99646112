"""Web pages: the form in which a document is laid out, and the way from there to PDF."""

from datetime import datetime
from html import escape
from io import BytesIO

from pypdf import PdfReader, PdfWriter
from weasyprint import HTML

from rendering.looks import stylesheet
from rendering.sources import Attachment, Block, Heading, Items, Lines, PageEnd, Paragraph, Region, Source, Table, spans

# Fences whose lines read "label: value" and are set as such.
LABELLED = {"facts", "totals"}


def webpage(source: Source) -> str:
    """A complete HTML document with its style inside."""
    return (
        f'<!DOCTYPE html>\n<html lang="{source.language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(source.title)}</title>\n"
        f'<meta name="dcterms.created" content="{source.moment:%Y-%m-%dT%H:%M:%SZ}">\n'
        f'<meta name="dcterms.modified" content="{source.moment:%Y-%m-%dT%H:%M:%SZ}">\n'
        f"<style>\n{stylesheet(source)}</style>\n</head>\n"
        f'<body class="{source.front.get("look", "plain")}">\n{markup(source.blocks)}</body>\n</html>\n'
    )


def markup(blocks: tuple[Block, ...]) -> str:
    """The blocks as HTML elements, regions as sections around them."""
    parts = []
    is_open = False
    for block in blocks:
        if isinstance(block, Region):
            parts.append("</section>\n" * is_open + f'<section class="{block.name}">\n')
            is_open = True
        else:
            parts.append(element(block))
    return "".join(parts) + "</section>\n" * is_open


def element(block: Block) -> str:
    """One block as an HTML element."""
    match block:
        case Heading(level, text):
            html = f"<h{level}>{inline(text)}</h{level}>\n"
        case Paragraph(text):
            html = f"<p>{inline(text)}</p>\n"
        case Items(texts, is_numbered):
            tag = "ol" if is_numbered else "ul"
            html = f"<{tag}>\n" + "".join(f"<li>{inline(text)}</li>\n" for text in texts) + f"</{tag}>\n"
        case Table():
            html = _table(block)
        case Lines(role, lines):
            html = f'<div class="{role}">\n' + "".join(_line(role, line) for line in lines) + "</div>\n"
        case PageEnd():
            html = '<div class="page-end"></div>\n'
        case Attachment() | Region():
            html = ""
    return html


def inline(text: str) -> str:
    """The text with its bold spans as elements."""
    return "".join(f"<b>{escape(piece)}</b>" if is_bold else escape(piece) for piece, is_bold in spans(text))


def pdf(source: Source) -> bytes:
    """The document as a PDF with its fonts embedded as subsets."""
    written: bytes = HTML(string=webpage(source)).write_pdf()
    return written


def joined_pdf(parts: list[tuple[bytes, int]], *, title: str, moment: datetime) -> bytes:
    """One PDF made of the page `index` of each part."""
    writer = PdfWriter()
    for blob, index in parts:
        writer.add_page(PdfReader(BytesIO(blob)).pages[index])
    stamp = f"D:{moment:%Y%m%d%H%M%S}Z"
    writer.add_metadata({"/Title": title, "/CreationDate": stamp, "/ModDate": stamp, "/Producer": "Scan station"})
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def _line(role: str, line: str) -> str:
    if role in LABELLED and ": " in line:
        label, value = line.replace("**", "").split(": ", 1)
        strength = ' class="strong"' if "**" in line else ""
        named = f'<span class="label">{escape(label)}:</span> <span class="value">{escape(value)}</span>'
        return f"<div{strength}>{named}</div>\n"
    return f"<div>{inline(line)}</div>\n"


def _table(table: Table) -> str:
    sides = [' class="right"' if right else "" for right in table.right]

    def row(cells: tuple[str, ...], tag: str) -> str:
        inside = "".join(f"<{tag}{side}>{inline(cell)}</{tag}>" for cell, side in zip(cells, sides, strict=True))
        return f"<tr>{inside}</tr>\n"

    body = "".join(row(cells, "td") for cells in table.rows)
    return f"<table>\n<thead>\n{row(table.head, 'th')}</thead>\n<tbody>\n{body}</tbody>\n</table>\n"
