"""Engines: all that reads documents, with the parsers that they need. Imported where documents are read only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from headrace import InvalidInput, Unreadable
from headrace_documents import media_types
from headrace_documents.detection import media_type_of
from headrace_documents.joining import joined
from headrace_documents.language import LanguageDetector
from headrace_documents.media_types import differs_from_name
from headrace_documents.readers import (
    legacy,
    legacy_slides,
    mail,
    markdown,
    opendocument,
    outlook,
    plain,
    rtf,
    sheets,
    slides,
    web,
    word,
)
from headrace_documents.readers.containers import repaired
from headrace_documents.readers.ocr import Ocr
from headrace_documents.readers.pdf import PdfReader
from headrace_documents.readers.pictures import PdfPagePictures, PictureReader, page_picture
from headrace_documents.readers.reader import Limits, Reader, Reading
from headrace_documents.readers.second import read_pdf_again
from headrace_documents.schema import Document, DocumentInfo, Finding, Text

PANIC = "PanicException"


@dataclass(frozen=True, slots=True)
class Engines:
    """A first reader for each kind, a second for when the first fails.

    `quick` replaces the first for kinds whose pages may be pictures, and leaves those pages unread.
    """

    limits: Limits
    first: Mapping[str, Reader]
    second: Mapping[str, Reader]
    quick: Mapping[str, Reader]
    languages: LanguageDetector

    @classmethod
    def ready(cls, limits: Limits, *, tessdata: str | None) -> Engines:
        """All of them, with the language data of the folder `tessdata` or of the usual ones."""
        ocr, languages = Ocr.found(tessdata), LanguageDetector()
        first: dict[str, Reader] = {
            media_types.DOCX: word.read,
            media_types.PPTX: slides.read,
            media_types.XLSX: sheets.read,
            media_types.XLS: sheets.read,
            media_types.ODS: sheets.read,
            media_types.ODT: opendocument.read,
            media_types.ODP: opendocument.read,
            media_types.DOC: legacy.read_doc,
            media_types.PPT: legacy_slides.read_ppt,
            media_types.HTML: web.read,
            media_types.EPUB: web.read_epub,
            media_types.EML: mail.read,
            media_types.MSG: outlook.read_msg,
            media_types.RTF: rtf.read_rtf,
            media_types.TXT: plain.read,
            media_types.CSV: plain.read_csv,
            media_types.MARKDOWN: markdown.read_markdown,
            **_of_pictures(ocr, limits, languages),
        }
        second: dict[str, Reader] = {
            media_types.PDF: read_pdf_again,
            media_types.HTML: plain.read,
            media_types.EML: plain.read,
            media_types.ODS: opendocument.read,
        }
        quick = _of_pictures(Ocr.skipped(), limits, languages)
        return cls(limits=limits, first=first, second=second, quick=quick, languages=languages)

    def text(self, document: Document, *, is_quick: bool = False) -> Text:
        """The text of a document; without that of pages which are pictures when it has to be quick."""
        first = {**self.first, **self.quick} if is_quick else self.first
        media_type = media_type_of(document.content, filename=document.filename, declared=document.media_type)
        info = DocumentInfo(
            filename=document.filename,
            media_type=media_type,
            size_bytes=len(document.content),
            sha256=hashlib.sha256(document.content).hexdigest(),
            pages=None,
            characters=0,
            language=None,
            ocr=False,
            title=None,
        )
        text = joined(self._read(document.content, media_type, first), info)
        language = self.languages.language_of(text.characters)
        findings = (*text.findings, *_general_findings(text, media_type, document.filename))
        return replace(text, document=replace(text.document, language=language), findings=findings)

    def picture(self, document: Document, *, page: int, dpi: float) -> bytes:
        """One page of a PDF or picture as PNG."""
        content = document.content
        media_type = media_type_of(content, filename=document.filename, declared=document.media_type)
        if media_type not in {media_types.PDF, media_types.PNG, media_types.JPEG, media_types.TIFF}:
            raise Unreadable(f"{media_type} has no pages to show.", remedy="Its text can be shown.")
        return page_picture(content, media_type, page=page, dpi=dpi, limits=self.limits)

    def _read(self, content: bytes, media_type: str, first: Mapping[str, Reader]) -> Reading:
        """By the first engine that can; when none can, the first failure tells, for that engine knows best."""
        failed: Unreadable | None = None
        for engine, offered in self._attempts(content, media_type, first[media_type]):
            try:
                reading = _answer(engine, offered, self.limits)
            except Unreadable as failure:
                failed = failed or failure
                if "encrypted" in failure.detail:
                    break
            else:
                if failed is None:
                    return reading
                note = Finding("second_engine", f"The first reader failed ({failed.detail}), a second one read it.")
                return replace(reading, findings=(*reading.findings, note))
        assert failed is not None
        raise failed

    def _attempts(self, content: bytes, media_type: str, first: Reader) -> Iterator[tuple[Reader, bytes]]:
        yield first, content
        second = self.second.get(media_type)
        if second is not None:
            yield second, content
        # What is left of a container that was cut off is often all of the text.
        salvaged = repaired(content, self.limits) if content.startswith(b"PK") else None
        if salvaged is not None:
            yield first, salvaged


def _of_pictures(ocr: Ocr, limits: Limits, languages: LanguageDetector) -> dict[str, Reader]:
    """The readers of kinds whose pages may be pictures."""
    pictures = PictureReader(ocr)
    return {
        media_types.PDF: PdfReader(ocr=PdfPagePictures(ocr, limits), likeness=languages.likeness),
        media_types.PNG: pictures,
        media_types.JPEG: pictures,
        media_types.TIFF: pictures,
    }


def _answer(engine: Reader, content: bytes, limits: Limits) -> Reading:
    try:
        return engine(content, limits)
    except (InvalidInput, MemoryError):
        raise
    # Parsers raise whatever a damaged file leads them to: to the sender all of it means the same.
    except Exception as error:
        raise _stumbled(error) from error
    # A panic of a library in Rust is no `Exception`, though it was unwound as cleanly as one.
    except BaseException as error:
        if type(error).__name__ == PANIC:
            raise _stumbled(error) from error
        raise


def _stumbled(error: BaseException) -> Unreadable:
    return Unreadable(
        f"It is damaged: its reader stumbled with {type(error).__name__}.", remedy="Open and save it anew."
    )


def _general_findings(text: Text, media_type: str, filename: str | None) -> list[Finding]:
    findings = []
    if not text.characters:
        findings.append(Finding("no_text_found", "No text was found in the document."))
    if differs_from_name(media_type, filename):
        findings.append(Finding("wrong_extension", f"It is {media_type}, whatever its name says."))
    return findings
