"""The lines that a PDF page draws: ruled lines, the sides of boxes, and the edges of shaded cells.

Only objects of the page itself are looked at, and of pages with very many none: those are maps and charts.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as engine

MOST_OBJECTS, MOST_LINES, MOST_SEGMENTS = 4_000, 800, 400
THICKEST = 3.0
"""Points: what is thicker is a box, of which the sides count."""
SHORTEST = 4.0
_STRAIGHT = {engine.FPDF_SEGMENT_MOVETO, engine.FPDF_SEGMENT_LINETO}

Line = tuple[float, float, float, float]


def lines_of(page: pdfium.PdfPage) -> npt.NDArray[np.float64]:
    """All straight lines along the page's sides: `(n, 4)` left, bottom, right, top in page space; none if too many."""
    raw = page.raw
    count = engine.FPDFPage_CountObjects(raw)
    if not 0 < count <= MOST_OBJECTS:
        return np.zeros((0, 4))
    get, kind_of, path = engine.FPDFPage_GetObject, engine.FPDFPageObj_GetType, engine.FPDF_PAGEOBJ_PATH
    found: list[Line] = []
    for index in range(count):
        shape = get(raw, index)
        if kind_of(shape) == path:
            found += _lines_of(shape)
            if len(found) > MOST_LINES:
                return np.zeros((0, 4))
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _lines_of(shape: engine.FPDF_PAGEOBJECT) -> Iterator[Line]:
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not engine.FPDFPath_GetDrawMode(shape, fill, stroke) or not (fill.value or stroke.value):
        return
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not engine.FPDFPageObj_GetBounds(shape, left, bottom, right, top):
        return
    x0, y0, x1, y1 = left.value, bottom.value, right.value, top.value
    if min(x1 - x0, y1 - y0) <= THICKEST:
        if max(x1 - x0, y1 - y0) >= SHORTEST:
            yield x0, y0, x1, y1
        return
    points = list(_points(shape))
    for before, after in itertools.pairwise(points):
        if before is None or after is None:
            continue
        sides = sorted((before[0], after[0])), sorted((before[1], after[1]))
        across, down = (side[1] - side[0] for side in sides)
        if min(across, down) < 0.5 and max(across, down) >= SHORTEST:
            yield sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _points(shape: engine.FPDF_PAGEOBJECT) -> Iterator[tuple[float, float] | None]:
    """The corners of a path in page space; None where the pen is lifted or a curve is drawn."""
    count = engine.FPDFPath_CountSegments(shape)
    matrix = engine.FS_MATRIX()
    if not 0 < count <= MOST_SEGMENTS or not engine.FPDFPageObj_GetMatrix(shape, matrix):
        return
    x, y = ctypes.c_float(), ctypes.c_float()
    begin: tuple[float, float] | None = None
    for index in range(count):
        segment = engine.FPDFPath_GetPathSegment(shape, index)
        kind = engine.FPDFPathSegment_GetType(segment)
        if kind not in _STRAIGHT or not engine.FPDFPathSegment_GetPoint(segment, x, y):
            yield None
            continue
        point = (
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        if kind == engine.FPDF_SEGMENT_MOVETO:
            yield None
            begin = point
        yield point
        if engine.FPDFPathSegment_GetClose(segment):
            yield begin
