"""Pages drawn by hand, for documents made of one trait each."""

from __future__ import annotations

from attacks import pdf, stream

CATALOGUE = b"<</Type/Catalog/Pages 2 0 R>>"
FONT = (
    b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>/F2<</Type/Font/Subtype/Type1/BaseFont/Courier>>>>>>"
)


def page_pdf(content: str, *, rotate: int = 0, count: int = 1, annotations: tuple[bytes, ...] = ()) -> bytes:
    """A PDF whose pages all show `content`, and below it `annotations`, which are objects from number 5 on."""
    noted = b" ".join(b"%d 0 R" % (number + 4 + count) for number in range(len(annotations)))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources%b/Contents 3 0 R/Rotate %d/Annots[%b]>>"
    kids = b" ".join(b"%d 0 R" % (number + 4) for number in range(count))
    pages = b"<</Type/Pages/Count %d/Kids[%b]>>" % (count, kids)
    made = page % (FONT, rotate, noted)
    return pdf([CATALOGUE, pages, stream(content.encode("latin-1")), *[made] * count, *annotations])


def shown(x: float, y: float, text: str, *, size: int = 10, font: str = "F1") -> str:
    """`text` at a place that counts from the lower left of the page; letters of the font F2 are all as wide."""
    return f"BT /{font} {size} Tf {x} {y} Td ({text}) Tj ET\n"
