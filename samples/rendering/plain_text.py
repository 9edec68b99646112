"""Text without form: TXT, Markdown, CSV, and the body of a plain mail."""

import csv
from io import StringIO
from textwrap import fill
from unicodedata import east_asian_width

from rendering.sources import Attachment, Block, Heading, Items, Lines, PageEnd, Paragraph, Region, Source, Table, plain
from rendering.truth import mail_head

WIDTH = 76


def typed(source: Source) -> str:
    """The document as somebody types it into an editor, wrapped at 76 characters."""
    return "\n\n".join(part for part in map(_typed, source.blocks) if part) + "\n"


def typed_mail(source: Source) -> str:
    """A mail saved as text, with its head above it."""
    return f"{mail_head(source)}\n\n{typed(source)}"


def markdown(source: Source) -> str:
    """The document as Markdown; the dialect of the sources is one already, but for its fences."""
    return "\n\n".join(map(_marked, source.blocks)) + "\n"


def comma_separated(source: Source) -> str:
    """The document as a spreadsheet program exports it: a line for each row, text in the first column."""
    buffer = StringIO()
    writer = csv.writer(buffer)
    for row in sheet_rows(source):
        writer.writerow(row)
    return buffer.getvalue()


def sheet_rows(source: Source) -> list[list[str]]:
    """The document as rows of cells, an empty row between blocks."""
    rows: list[list[str]] = []
    for block in source.blocks:
        rows += [*_rows(block), []]
    return rows[:-1]


def _rows(block: Block) -> list[list[str]]:
    match block:
        case Table(head, cells, _):
            return [list(head), *map(list, cells)]
        case Lines("facts", lines):
            return [line.split(": ", 1) for line in lines]
        case Lines(_, texts) | Items(texts, _):
            return [[plain(text)] for text in texts]
        case Heading(_, text) | Paragraph(text):
            return [[plain(text)]]
        case PageEnd() | Region() | Attachment():
            return []


def _typed(block: Block) -> str:
    match block:
        case Heading(_, text):
            typed_block = plain(text)
        case Paragraph(text):
            typed_block = plain(text) if _is_wide(text) else fill(plain(text), WIDTH, break_long_words=False)
        case Items(texts, is_numbered):
            typed_block = "\n".join(_item(plain(text), number * is_numbered) for number, text in enumerate(texts, 1))
        case Table(head, rows, right):
            typed_block = _grid([head, *rows], right)
        case Lines("quote", lines):
            typed_block = "\n".join(f"> {line}" for line in lines)
        case Lines(_, lines):
            typed_block = "\n".join(plain(line) for line in lines)
        case PageEnd() | Region() | Attachment():
            typed_block = ""
    return typed_block


def _item(text: str, number: int) -> str:
    mark = f"{number}. " if number else "- "
    return fill(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark), break_long_words=False)


def _is_wide(text: str) -> bool:
    return any(east_asian_width(character) == "W" for character in text)


def _grid(rows: list[tuple[str, ...]], right: tuple[bool, ...]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    )


def _marked(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Items(texts, is_numbered):
            marks = (f"{number}." if is_numbered else "-" for number in range(1, len(texts) + 1))
            return "\n".join(f"{mark} {text}" for mark, text in zip(marks, texts, strict=True))
        case Table(head, rows, right):
            rule = tuple("--:" if is_right else "---" for is_right in right)
            return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
        case Lines(_, lines):
            return "  \n".join(lines)
        case PageEnd() | Region() | Attachment():
            return ""
