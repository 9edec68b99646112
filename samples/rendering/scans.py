"""Scans: pages as a tired flatbed would have them, slightly skewed and never quite white."""

from io import BytesIO

import numpy as np
import pypdfium2
from PIL import Image, ImageFilter

from rendering.pages import joined_pdf, pdf
from rendering.sources import Source

POINTS_PER_INCH = 72
GREY_DPI = 150
FAX_DPI = 200


def scanned_pdf(source: Source) -> bytes:
    """Page pictures without a text layer."""
    return _as_pdf(_scans(source, dpi=GREY_DPI), source)


def mixed_pdf(source: Source) -> bytes:
    """The first page as text, those after it as pictures."""
    text = pdf(source)
    scanned = _as_pdf(_scans(source, dpi=GREY_DPI), source)
    pages = len(pypdfium2.PdfDocument(text))
    parts = [(text, 0)] + [(scanned, index) for index in range(1, pages)]
    return joined_pdf(parts, title=source.title, moment=source.moment)


def png(source: Source) -> bytes:
    """The first page in a dozen greys."""
    page = _scans(source, dpi=GREY_DPI, noise=2)[0].point(_posterised)
    return _saved(page.quantize(12), "PNG", optimize=True, dpi=(GREY_DPI, GREY_DPI))


def jpeg(source: Source) -> bytes:
    """The first page as a telephone takes it: lit from one side, in soft focus."""
    page = _scans(source, dpi=GREY_DPI, shade=46)[0].filter(ImageFilter.GaussianBlur(0.5))
    return _saved(page, "JPEG", quality=52, dpi=(GREY_DPI, GREY_DPI))


def tiff(source: Source) -> bytes:
    """All pages in black and white, as a fax machine sends them."""
    first, *others = (page.point(_black_or_white, "1") for page in _scans(source, dpi=FAX_DPI, noise=14))
    dpi = (FAX_DPI, FAX_DPI)
    return _saved(first, "TIFF", compression="group4", save_all=True, append_images=others, dpi=dpi)


def _scans(source: Source, *, dpi: int, noise: float = 5, shade: float = 12) -> list[Image.Image]:
    chance = np.random.default_rng(source.seed)
    document = pypdfium2.PdfDocument(pdf(source))
    pictures = (page.render(scale=dpi / POINTS_PER_INCH, grayscale=True).to_pil() for page in document)
    return [_worn(picture.convert("L"), chance, noise=noise, shade=shade) for picture in pictures]


def _worn(picture: Image.Image, chance: np.random.Generator, *, noise: float, shade: float) -> Image.Image:
    skew_degrees = float(chance.uniform(0.3, 0.8) * chance.choice([-1, 1]))
    turned = picture.rotate(skew_degrees, resample=Image.Resampling.BICUBIC, fillcolor=255)
    grey = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.4)), dtype=np.float64)
    light = 1 - np.linspace(0, shade, grey.shape[1])[np.newaxis, :] / 255
    grain = chance.normal(0, noise, grey.shape)
    dust = np.where(chance.random(grey.shape) < 0.00004, -120, 0)
    worn = (20 + grey * 0.9) * light + grain + dust
    return Image.fromarray(np.clip(worn, 0, 255).astype(np.uint8))


def _black_or_white(grey: int) -> int:
    return 255 if grey > 150 else 0


def _posterised(grey: int) -> int:
    # Paper white is made even first: grain would cost a megabyte.
    return 240 if grey > 205 else grey // 24 * 24


def _as_pdf(pages: list[Image.Image], source: Source) -> bytes:
    first, *others = pages
    moment = source.moment.utctimetuple()
    return _saved(
        first,
        "PDF",
        save_all=True,
        append_images=others,
        resolution=GREY_DPI,
        quality=38,
        creationDate=moment,
        modDate=moment,
    )


def _saved(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()
