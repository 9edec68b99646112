"""The second reader of PDFs: pdf_oxide, which mends files that pdfium refuses."""

from __future__ import annotations

import pdf_oxide

from headrace import Unreadable
from headrace_documents.readers.reader import Limits, Passage, Reading, cleaned


def read_pdf_again(content: bytes, limits: Limits) -> Reading:
    """The text of each page, without places; raises `Unreadable` when it cannot be read either."""
    try:
        document = pdf_oxide.PdfDocument.from_bytes(content)
        count = document.page_count()
        limits.check("pages", count, limits.pages)
        passages = tuple(
            Passage(characters=cleaned(document.extract_text(number)).strip(), page=number + 1)
            for number in range(count)
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise Unreadable(f"The PDF is damaged: {error}.", remedy="Save or print it anew.") from error
    if not any(passage.characters for passage in passages):
        raise Unreadable("The PDF is damaged and no text could be saved.", remedy="Save or print it anew.")
    return Reading(passages=passages, pages=count)
