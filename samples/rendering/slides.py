"""Presentations: PPTX, one slide for each second-level heading."""

from io import BytesIO
from typing import Any

from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import PP_ALIGN
from pptx.util import Cm, Pt

from rendering.archives import sealed
from rendering.sources import Block, Heading, Items, Lines, Source, Table, plain

WIDE, HIGH = Cm(25.4), Cm(14.29)
TITLE_LAYOUT, BULLET_LAYOUT, HEADING_LAYOUT = 0, 1, 5


def pptx(source: Source) -> bytes:
    """A deck: a title slide, then a slide for each heading with its list or table."""
    deck = Presentation()
    deck.slide_width, deck.slide_height = WIDE, HIGH
    for title, blocks in _chapters(source):
        _add_slide(deck, title, blocks, source)
    properties = deck.core_properties
    properties.title, properties.author, properties.last_modified_by = source.title, "", ""
    properties.created = properties.modified = source.moment.replace(tzinfo=None)
    buffer = BytesIO()
    deck.save(buffer)
    return sealed(buffer.getvalue(), source.moment)


def _chapters(source: Source) -> list[tuple[Heading, list[Block]]]:
    chapters: list[tuple[Heading, list[Block]]] = []
    for block in source.blocks:
        if isinstance(block, Heading):
            chapters.append((block, []))
        else:
            chapters[-1][1].append(block)
    return chapters


def _add_slide(deck: Any, title: Heading, blocks: list[Block], source: Source) -> None:
    accent = RGBColor.from_string(source.accent.removeprefix("#").upper())
    table = next((block for block in blocks if isinstance(block, Table)), None)
    layout = TITLE_LAYOUT if title.level == 1 else HEADING_LAYOUT if table else BULLET_LAYOUT
    slide = deck.slides.add_slide(deck.slide_layouts[layout])
    _set_title(slide.shapes.title, title, accent)
    if title.level == 1:
        tagline = "\n".join(line for block in blocks if isinstance(block, Lines) for line in block.lines)
        _set_texts(slide.placeholders[1], [tagline], top=Cm(8.6), size=Pt(16))
    elif table:
        _add_table(slide, table, accent)
    else:
        texts = [text for block in blocks if isinstance(block, Items) for text in block.texts]
        _set_texts(slide.placeholders[1], texts, top=Cm(3.6), size=Pt(18))
    bar = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, 0, 0, Cm(0.6), HIGH)
    bar.fill.solid()
    bar.fill.fore_color.rgb = accent
    bar.line.fill.background()


def _set_title(shape: Any, title: Heading, accent: RGBColor) -> None:
    is_cover = title.level == 1
    shape.left, shape.width = Cm(1.8), Cm(22)
    shape.top, shape.height = (Cm(4), Cm(4)) if is_cover else (Cm(0.9), Cm(2))
    shape.text_frame.text = plain(title.text)
    paragraph = shape.text_frame.paragraphs[0]
    paragraph.alignment = PP_ALIGN.LEFT
    paragraph.font.size, paragraph.font.bold = Pt(32 if is_cover else 26), True
    paragraph.font.color.rgb = accent


def _set_texts(shape: Any, texts: list[str], *, top: int, size: int) -> None:
    shape.left, shape.width, shape.top, shape.height = Cm(1.8), Cm(22), top, HIGH - top - Cm(1)
    shape.text_frame.text = plain(texts[0])
    for text in texts[1:]:
        shape.text_frame.add_paragraph().text = plain(text)
    for paragraph in shape.text_frame.paragraphs:
        paragraph.alignment = PP_ALIGN.LEFT
        paragraph.font.size, paragraph.space_after = size, Pt(8)
        paragraph.font.color.rgb = RGBColor(0x33, 0x33, 0x33)


def _add_table(slide: Any, table: Table, accent: RGBColor) -> None:
    rows = (table.head, *table.rows)
    frame = slide.shapes.add_table(len(rows), len(table.head), Cm(1.8), Cm(3.8), Cm(22), Cm(1.1) * len(rows))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            cell = frame.table.cell(number, column)
            cell.text = plain(text)
            paragraph = cell.text_frame.paragraphs[0]
            paragraph.font.size = Pt(15)
            paragraph.alignment = PP_ALIGN.RIGHT if table.right[column] else PP_ALIGN.LEFT
            if number == 0:
                cell.fill.solid()
                cell.fill.fore_color.rgb = accent
