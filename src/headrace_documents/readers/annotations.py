"""What was put on a page of a PDF after it was made: filled form fields, typed remarks and stamps.

Viewers show them and the page's own text has none of them. They are drawn into the page, and each run of their words is
put where it stands: after the label on its left, or below the one above.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as engine

from headrace_documents.readers.mending import WordColumns

MOST = 2_000
"""A page with more annotations is read without: one made to harm has millions, and each is put in its place."""
SAME_RUN = 2.0
"""Words of one row that are at most this far apart, in their height, are one run."""
_SPEAKING = {engine.FPDF_ANNOT_FREETEXT, engine.FPDF_ANNOT_STAMP}

Boxes = npt.NDArray[np.float64]


def has_annotations(page: pdfium.PdfPage) -> bool:
    """Whether any form field, typed remark or stamp may have text to show; links, which most are, have none."""
    count = engine.FPDFPage_GetAnnotCount(page)
    for index in range(count if count <= MOST else 0):
        annotation = engine.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        kind = engine.FPDFAnnot_GetSubtype(annotation)
        is_filled = kind == engine.FPDF_ANNOT_WIDGET and (
            engine.FPDFAnnot_HasKey(annotation, b"AP") or engine.FPDFAnnot_HasKey(annotation, b"V")
        )
        engine.FPDFPage_CloseAnnot(annotation)
        if is_filled or kind in _SPEAKING:
            return True
    return False


def annotated(document: pdfium.PdfDocument, index: int, page: pdfium.PdfPage) -> pdfium.PdfPage:
    """The page with its annotations drawn into it as they are shown; `page` is closed."""
    # Drawing makes the appearance of fields whose document asks for it, as filled by a program often do.
    page.render(scale=min(1.0, 16 / max(page.get_size())), draw_annots=True).close()
    engine.FPDFPage_Flatten(page, engine.FLAT_NORMALDISPLAY)
    page.close()
    return document[index]


def own_text(page: pdfium.PdfPage) -> str:
    """The text of a page as it was made."""
    textpage = page.get_textpage()
    try:
        return str(textpage.get_text_range(errors="replace"))
    finally:
        textpage.close()


def settled(columns: WordColumns, first: int) -> WordColumns:
    """Words from number `first` on, which were put on the page later, among those that they stand beside or below."""
    order, lines = list(range(first)), [float(line) for line in columns.lines]
    runs = _runs(columns.boxes, first, len(columns.words))
    if not columns.words or len(runs) > MOST:
        return columns
    for number, run in enumerate(runs):
        at, line = _place(columns.boxes, order, lines, run[0])
        for index in run:
            lines[index] = line if line is not None else -1.0 - number
        order[at:at] = run
    ids = np.array([lines[index] for index in order])
    return WordColumns(
        words=[columns.words[index] for index in order],
        lines=np.cumsum(np.diff(ids, prepend=ids[0]) != 0).tolist(),
        joined=[columns.joined[index] and index < first for index in order],
        characters=[columns.characters[index] for index in order],
        boxes=columns.boxes[order],
    )


def _runs(boxes: Boxes, first: int, last: int) -> list[list[int]]:
    runs: list[list[int]] = []
    for index in range(first, last):
        if runs and _is_next(boxes[runs[-1][-1]], boxes[index]):
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _is_next(before: Boxes, box: Boxes) -> bool:
    height = max(before[3] - before[1], box[3] - box[1])
    return bool(_is_level(before, box) and -0.3 * height < box[0] - before[2] < SAME_RUN * height)


def _is_level(a: Boxes, b: Boxes) -> bool:
    return bool(min(a[3], b[3]) - max(a[1], b[1]) > 0.4 * min(a[3] - a[1], b[3] - b[1]))


def _place(boxes: Boxes, order: list[int], lines: list[float], word: int) -> tuple[int, float | None]:
    """Where in `order` a run that begins with `word` goes, and the line that it belongs to; None for one of its own."""
    own = boxes[word]
    placed = boxes[order]
    if not len(order) or np.isnan(own).any():
        return len(order), None
    height = own[3] - own[1]
    levels = np.minimum(placed[:, 3], own[3]) - np.maximum(placed[:, 1], own[1])
    is_level = levels > 0.4 * np.minimum(placed[:, 3] - placed[:, 1], height)
    is_left = is_level & (placed[:, 2] <= own[0] + 0.3 * height)
    if is_left.any():
        at = int(np.argmax(np.where(is_left, placed[:, 2], -np.inf)))
        return at + 1, lines[order[at]]
    is_right = is_level & (placed[:, 0] > own[0])
    if is_right.any():
        at = int(np.argmin(np.where(is_right, placed[:, 0], np.inf)))
        return at, lines[order[at]]
    is_above = (placed[:, 1] >= own[3] - 0.6 * height) & (placed[:, 0] < own[2]) & (placed[:, 2] > own[0])
    if not is_above.any():
        is_above = placed[:, 1] >= own[3] - 0.6 * height
    if not is_above.any():
        return 0, None
    nearest = int(np.argmin(np.where(is_above, placed[:, 1], np.inf)))
    ends = [at for at in range(nearest, len(order)) if lines[order[at]] == lines[order[nearest]]]
    return max(ends) + 1, None
