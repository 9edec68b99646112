"""PNG, JPEG and TIFF: each picture a page, read by OCR; and the pictures of pages that a report shows."""

from __future__ import annotations

import io
import math
import struct
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageOps, ImageSequence

from headrace import TooLarge, Unreadable, checkpointed
from headrace_documents.readers.annotations import annotated, has_annotations
from headrace_documents.readers.ink import letter_height_of, letter_heights
from headrace_documents.readers.ocr import Ocr
from headrace_documents.readers.pdf import opened
from headrace_documents.readers.reader import LARGEST_SIDE, Limits, Passage, Reading
from headrace_documents.schema import Finding

Image.MAX_IMAGE_PIXELS = None
MOST_DPI, LEAST_DPI = 300, 150
"""A page of a PDF is drawn as finely as the scan in it, within these bounds: more pixels tell Tesseract nothing."""
LEAST_LETTER, GOOD_LETTER = 9.0, 16.0
"""Letters below the one height in pixels are enlarged to the other."""
MOST_PICTURE_DPI = 400
GLANCE_DPI = 100
MANY_LETTERS, MANY_TIMES = 200, 3
"""How many pieces as large as letters a picture has to have, at least and beside those of the page's text."""
ANEW = "It may be cut off: send it again, or scan it anew."
OPAQUE, LIGHT = 127, 200
"""Alpha from which on a pixel is drawn, and the grey above which most of what is drawn is light."""
FORMATS = ("PNG", "JPEG", "TIFF", "MPO")


@dataclass(frozen=True, slots=True)
class PictureReader:
    """Reads pictures by `ocr`."""

    ocr: Ocr

    def __call__(self, content: bytes, limits: Limits) -> Reading:
        """A passage a picture; raises `Unreadable` when it is damaged."""
        passages: list[Passage] = []
        findings: list[Finding] = []
        limits.check("pictures", _pictures_in_tiff(content, limits.pages), limits.pages)
        with _opened(content) as picture:
            try:
                limits.check("pictures", getattr(picture, "n_frames", 1), limits.pages)
                for number, frame in enumerate(ImageSequence.Iterator(picture), 1):
                    limits.check("pixels", frame.width * frame.height, limits.pixels)
                    read = partial(self._read, frame, number)
                    passage, found = checkpointed(f"picture {number}", tuple[Passage, tuple[Finding, ...]], read)
                    passages.append(passage)
                    findings += found
            # A TIFF whose directory lacks an entry makes Pillow look for it in vain.
            except (OSError, ValueError, SyntaxError, EOFError, LookupError) as error:
                reason = "a part of it is missing" if isinstance(error, LookupError) else str(error)
                if not passages:
                    raise Unreadable(f"The picture is damaged: {reason}.", remedy=ANEW) from error
                findings.append(Finding("truncated", f"Only {len(passages)} pictures could be read: {reason}."))
        return Reading(passages=tuple(passages), pages=len(passages), findings=tuple(findings))

    def _read(self, frame: Image.Image, number: int) -> tuple[Passage, tuple[Finding, ...]]:
        width, height = _points(frame)
        return self.ocr.read(_prepared(frame), page=number, width=width, height=height)


@dataclass(frozen=True, slots=True)
class PdfPagePictures:
    """Reads pages of a PDF that have no text; keeps the promise that `PdfReader` asks for."""

    ocr: Ocr
    limits: Limits

    def __call__(self, page: pdfium.PdfPage, number: int) -> tuple[Passage, tuple[Finding, ...]] | None:
        """The passage of a page from its picture."""
        width, height = page.get_size()
        finest = self._finest(page, width, height)
        scale = _scale(width, height, min(max(finest, LEAST_DPI), MOST_DPI) if finest else MOST_DPI, self.limits)
        return self.ocr.read(_grey(page, scale), page=number, width=width, height=height)

    def is_covered(self, page: pdfium.PdfPage) -> bool:
        """Whether a picture covers most of the page; one that is too large to be read does not count."""
        try:
            return self._finest(page, *page.get_size()) > 0
        except TooLarge:
            return False

    def shows_more(self, page: pdfium.PdfPage, *, letters: int) -> bool:
        """Whether pieces as large as letters are drawn on the page many times as often as its `letters`."""
        width, height = page.get_size()
        drawn = letter_heights(_grey(page, _scale(width, height, GLANCE_DPI, self.limits)))
        return len(drawn) > max(MANY_LETTERS, MANY_TIMES * letters)

    def _finest(self, page: pdfium.PdfPage, width: float, height: float) -> float:
        """Pixels an inch of the finest picture that covers most of the page; 0 without any."""
        finest = 0.0
        for shown in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
            across, down = shown.get_px_size()
            self.limits.check("pixels in one picture", across * down, self.limits.pixels)
            left, bottom, right, top = shown.get_bounds()
            if (right - left) * (top - bottom) > 0.5 * width * height:
                finest = max(finest, 72 * math.sqrt(across * down / ((right - left) * (top - bottom))))
        return finest


def _grey(page: pdfium.PdfPage, scale: float) -> Image.Image:
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        picture: Image.Image = bitmap.to_pil().convert("L")
        return picture
    finally:
        bitmap.close()


def _pictures_in_tiff(content: bytes, limit: int) -> int:
    """How many pictures a TIFF chains together, counted up to one above `limit`; 0 for other kinds.

    Raises `Unreadable` when the chain leads back into itself: a reader would follow it until its stack is gone.
    """
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None or len(content) < 16:
        return 0
    is_big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    head, count_form, size, link_form = (8, "Q", 20, "Q") if is_big else (4, "H", 12, "I")
    at = int(struct.unpack_from(order + link_form, content, head)[0])
    seen: set[int] = set()
    while at and len(seen) <= limit:
        if at in seen:
            raise Unreadable("The picture is damaged: its pages run in a circle.", remedy="Scan it anew.")
        seen.add(at)
        try:
            entries = struct.unpack_from(order + count_form, content, at)[0]
            link = at + struct.calcsize(order + count_form) + entries * size
            at = int(struct.unpack_from(order + link_form, content, link)[0])
        except struct.error:
            break
    return len(seen)


def page_picture(content: bytes, media_type: str, *, page: int, dpi: float, limits: Limits) -> bytes:
    """The picture of one page as PNG; raises `Unreadable` when there is no such page."""
    if media_type == "application/pdf":
        picture = _pdf_picture(content, page, dpi, limits)
    else:
        with _opened(content) as frames:
            try:
                frames.seek(page - 1)
            except EOFError as error:
                raise Unreadable(f"It has no page {page}.", remedy="Ask for one that it has.") from error
            limits.check("pixels", frames.width * frames.height, limits.pixels)
            width, _ = _points(frames)
            whole = ImageOps.exif_transpose(frames).convert("RGB")
            scale = dpi / 72 * width / whole.width
            picture = whole.resize((max(1, round(whole.width * scale)), max(1, round(whole.height * scale))))
    output = io.BytesIO()
    picture.save(output, format="PNG", optimize=False)
    return output.getvalue()


def _pdf_picture(content: bytes, page: int, dpi: float, limits: Limits) -> Image.Image:
    document = opened(content, limits)
    try:
        if not 1 <= page <= len(document):
            raise Unreadable(f"It has no page {page}.", remedy=f"Ask for one of its {len(document)} pages.")
        loaded = document[page - 1]
        if has_annotations(loaded):
            loaded = annotated(document, page - 1, loaded)
        width, height = loaded.get_size()
        scale = _scale(width, height, dpi, limits)
        picture: Image.Image = loaded.render(scale=scale).to_pil().convert("RGB")
    except pdfium.PdfiumError as error:
        raise Unreadable(f"Page {page} cannot be drawn: {error}.", remedy="Print it anew.") from error
    else:
        return picture
    finally:
        document.close()


def _scale(width: float, height: float, dpi: float, limits: Limits) -> float:
    """Pixels a point for a page of this size at `dpi`, or fewer where the picture would be too large."""
    return min(dpi / 72, math.sqrt(limits.pixels / max(width * height, 1.0)), LARGEST_SIDE / max(width, height))


def _opened(content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(content), formats=FORMATS)
    except (OSError, ValueError, SyntaxError, TypeError, OverflowError, LookupError) as error:
        raise Unreadable("The picture is damaged.", remedy=ANEW) from error


def _points(picture: Image.Image) -> tuple[float, float]:
    """The size in points by the resolution that the picture claims, or as if it were a page of A4 or Letter."""
    is_turned = picture.getexif().get(0x0112, 1) in {5, 6, 7, 8}
    across, down = (picture.height, picture.width) if is_turned else picture.size
    claimed = picture.info.get("dpi")
    dpi = float(claimed[0]) if claimed else 0.0
    if not 50 <= dpi <= 1200:
        dpi = max(across, down) / (842 / 72)
    return across * 72 / dpi, down * 72 / dpi


def _prepared(picture: Image.Image) -> Image.Image:
    """Grey, upright by its own note, on white where it is clear, and large enough for the engine."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
        clear = upright.convert("RGBA")
        opaque = np.asarray(clear.convert("L"))[np.asarray(clear.getchannel("A")) > OPAQUE]
        # What is drawn in white is meant for a dark ground.
        ground = "black" if opaque.size and float(np.percentile(opaque, 25)) > LIGHT else "white"
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, ground), clear)
    grey = upright.convert("L")
    width, _ = _points(picture)
    letter = letter_height_of(grey)
    is_small = letter is not None and letter < LEAST_LETTER
    wanted = GOOD_LETTER / letter if letter is not None and is_small else MOST_PICTURE_DPI / 72 * width / grey.width
    scale = min(wanted if is_small else min(wanted, 1.0), LARGEST_SIDE / max(grey.size), 3.0)
    if scale > 1.15 or scale < 0.8:
        grey = grey.resize(
            (max(1, round(grey.width * scale)), max(1, round(grey.height * scale))), Image.Resampling.LANCZOS
        )
    return grey
