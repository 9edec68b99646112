"""Office Open XML: DOCX, PPTX and XLSX."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from docx import Document
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet.properties import PageSetupProperties

from rendering.archives import sealed
from rendering.plain_text import sheet_rows
from rendering.sources import Block, Heading, Items, Lines, Paragraph, Source, Table, plain, spans

RIGHT_TO_LEFT = {"ar"}
TO_THE_RIGHT = 2
FACES = {"classic": "Liberation Serif", "letter": "Carlito", "modern": "Lato"}


def docx(source: Source) -> bytes:
    """A text document with real headings, lists and tables."""
    document = Document()
    _set_page(document, source)
    for block in source.blocks:
        _write(document, block, source)
    if source.language in RIGHT_TO_LEFT:
        _turn(document)
    properties = document.core_properties
    properties.title, properties.author, properties.language = source.title, "", source.language
    properties.created = properties.modified = source.moment.replace(tzinfo=None)
    properties.comments = ""
    buffer = BytesIO()
    document.save(buffer)
    return sealed(buffer.getvalue(), source.moment)


def xlsx(source: Source) -> bytes:
    """A workbook of one sheet; numbers are numbers."""
    book = Workbook()
    sheet = book.active
    sheet.title = source.title[:31].replace("/", "-")
    for row in sheet_rows(source):
        sheet.append([_value(cell) for cell in row])
    _dress(sheet, source)
    book.properties.title, book.properties.creator = source.title, ""
    book.properties.created = source.moment.replace(tzinfo=None)
    buffer = BytesIO()
    book.save(buffer)
    return sealed(buffer.getvalue(), source.moment)


def _set_page(document: Any, source: Source) -> None:
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.3)
    section.top_margin = section.bottom_margin = Cm(1.9)
    look = source.front.get("look", "plain")
    face = FACES.get(look, "Liberation Sans")
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = face, Pt(10)
    normal.paragraph_format.space_after = Pt(6)
    for level, size in ((1, 19), (2, 12.5), (3, 11)):
        style = document.styles[f"Heading {level}"]
        style.font.name, style.font.size = face, Pt(size)
        style.font.color.rgb = RGBColor.from_string(source.accent.removeprefix("#").upper())
        style.element.rPr.rFonts.set(qn("w:asciiTheme"), "")
        del style.element.rPr.rFonts.attrib[qn("w:asciiTheme")]


def _write(document: Any, block: Block, source: Source) -> None:
    match block:
        case Heading(level, text):
            document.add_heading(plain(text), level)
        case Paragraph(text):
            _add_spans(document.add_paragraph(), text)
        case Items(texts, True):
            for number, text in enumerate(texts, 1):
                paragraph = document.add_paragraph()
                paragraph.paragraph_format.left_indent = Cm(0.7)
                paragraph.paragraph_format.first_line_indent = Cm(-0.6)
                _add_spans(paragraph, f"{number}. {text}")
        case Items(texts, False):
            for text in texts:
                _add_spans(document.add_paragraph(style="List Bullet"), text)
        case Table():
            _add_table(document, block)
        case Lines():
            _add_lines(document, block, source)


def _add_lines(document: Any, block: Lines, source: Source) -> None:
    paragraph = document.add_paragraph()
    paragraph.paragraph_format.space_after = Pt(14)
    paragraph.paragraph_format.keep_together = True
    is_letter = source.front.get("look") == "letter"
    if block.role == "totals" or (block.role == "sender" and is_letter):
        paragraph.alignment = TO_THE_RIGHT
    if block.role == "sign":
        paragraph.paragraph_format.space_before = Pt(16)
    for index, line in enumerate(block.lines):
        if index:
            paragraph.add_run().add_break()
        _add_spans(paragraph, line)
    for run in paragraph.runs:
        if block.role == "code":
            run.font.name, run.font.size = "Liberation Mono", Pt(9.5)
        if block.role == "small":
            run.font.size = Pt(8)


def _add_spans(paragraph: Any, text: str) -> None:
    for piece, is_bold in spans(text):
        paragraph.add_run(piece).bold = is_bold or None


def _add_table(document: Any, table: Table) -> None:
    grid = document.add_table(rows=0, cols=len(table.head), style="Table Grid")
    grid.autofit = False
    for number, row in enumerate((table.head, *table.rows)):
        is_last = number == len(table.rows)
        for cell, text, is_right in zip(grid.add_row().cells, row, table.right, strict=True):
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_after = Pt(2)
            paragraph.paragraph_format.keep_with_next = not is_last
            run = paragraph.add_run(plain(text))
            run.font.size, run.bold = Pt(9.5), number == 0 or None
            if is_right:
                paragraph.alignment = TO_THE_RIGHT
    _fit(grid, table)
    document.add_paragraph().paragraph_format.space_after = Pt(2)


def _fit(grid: Any, table: Table) -> None:
    weights = [
        max(10, *(min(len(cell), 44) for cell in column)) for column in zip(table.head, *table.rows, strict=True)
    ]
    for column, weight in zip(grid.columns, weights, strict=True):
        width = Cm(16.2 * weight / sum(weights))
        column.width = width
        for cell in column.cells:
            cell.width = width


def _turn(document: Any) -> None:
    for paragraph in document.paragraphs:
        paragraph.paragraph_format.element.get_or_add_pPr().append(OxmlElement("w:bidi"))
        for run in paragraph.runs:
            run.font.element.get_or_add_rPr().append(OxmlElement("w:rtl"))


def _value(cell: str) -> str | int | float | None:
    for number in (int, float):
        try:
            value = number(cell)
        except ValueError:
            continue
        # A year or a reference such as 0093 must stay as it was written.
        return value if str(value) == cell else cell
    return cell or None


def _dress(sheet: Any, source: Source) -> None:
    sheet.page_setup.orientation, sheet.page_setup.paperSize = sheet.ORIENTATION_LANDSCAPE, sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.fitToHeight = 0
    sheet["A1"].font = Font(bold=True, size=14, color=source.accent.removeprefix("#"))
    for block, first_row in _tables(source):
        for column, text in enumerate(block.head, 1):
            cell = sheet.cell(first_row, column)
            cell.font = Font(bold=True, color="FFFFFF")
            cell.fill = PatternFill("solid", fgColor=source.accent.removeprefix("#"))
            cell.alignment = Alignment(horizontal="right" if block.right[column - 1] else "left", wrap_text=True)
            width = max(len(text), *(len(row[column - 1]) for row in block.rows))
            sheet.column_dimensions[cell.column_letter].width = min(52, max(13, width + 2))


def _tables(source: Source) -> Iterator[tuple[Table, int]]:
    for block in source.blocks:
        if isinstance(block, Table):
            rows = sheet_rows(source)
            yield block, rows.index(list(block.head)) + 1
