"""TextExtractionService: which reader for which document; every word keeps its place on the page."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace import Guard, InvalidInput, Service, Unreadable, current_context, fallback
from headrace_documents import detection
from headrace_documents.detection import differs_from_name, media_type_of
from headrace_documents.joining import joined
from headrace_documents.language import LanguageDetector
from headrace_documents.readers import legacy, legacy_slides, mail, opendocument, plain, sheets, slides, web, word
from headrace_documents.readers.containers import repaired
from headrace_documents.readers.ocr import FOLDERS, NOT_READ, Ocr
from headrace_documents.readers.pdf import PdfReader
from headrace_documents.readers.pictures import PdfPagePictures, PictureReader, page_picture
from headrace_documents.readers.reader import Limits, Reader, Reading
from headrace_documents.readers.second import read_pdf_again
from headrace_documents.schema import Document, DocumentInfo, Finding, Text

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """`[services.text_extractor]`: `upload_bytes` bounds a document, `tessdata` is the folder of Tesseract's data."""

    upload_bytes: int = 50 * MIB
    tessdata: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Asks for the picture of one page, `page` from 1."""

    document: Document
    page: int
    dpi: float = 110.0


@dataclass(frozen=True, slots=True)
class Readers:
    """What a loaded replica reads with: a first reader for each kind, a second for when the first fails.

    `quick` replaces the first for kinds whose pages may be pictures, and leaves those pages unread.
    """

    first: Mapping[str, Reader]
    second: Mapping[str, Reader]
    quick: Mapping[str, Reader]
    languages: LanguageDetector


class TextExtractionService(Service):
    """Documents in, text with places out. Runs in guarded processes, for documents come from anywhere."""

    guard = Guard(readable=FOLDERS)
    options: ExtractionOptions = ExtractionOptions()
    loaded: Readers

    def load(self, artifact: Path | None) -> Readers:  # noqa: ARG002 - it needs no model from the registry
        """The readers; nothing of them is slow but the detector of languages."""
        # Libraries warn about every oddity of a document on their loggers; what matters becomes a finding.
        logging.disable(logging.CRITICAL)
        limits = self.options.limits
        ocr = Ocr.found(self.options.tessdata or None)
        first: dict[str, Reader] = {
            detection.DOCX: word.read,
            detection.PPTX: slides.read,
            detection.XLSX: sheets.read,
            detection.XLS: sheets.read,
            detection.ODS: sheets.read,
            detection.ODT: opendocument.read,
            detection.ODP: opendocument.read,
            detection.DOC: legacy.read_doc,
            detection.PPT: legacy_slides.read_ppt,
            detection.HTML: web.read,
            detection.EPUB: web.read_epub,
            detection.EML: mail.read,
            detection.MSG: mail.read_msg,
            detection.RTF: plain.read_rtf,
            detection.TXT: plain.read,
            detection.CSV: plain.read_csv,
            detection.MARKDOWN: plain.read_markdown,
            **_of_pictures(ocr, limits),
        }
        second: dict[str, Reader] = {
            detection.PDF: read_pdf_again,
            detection.HTML: plain.read,
            detection.EML: plain.read,
        }
        quick = _of_pictures(Ocr.skipped(), limits)
        return Readers(first=first, second=second, quick=quick, languages=LanguageDetector())

    async def extract(self, document: Document) -> Text:
        """The text of a document; pages that are pictures are left out, and said to be, when the time is too short.

        Raises:
            TooLarge: it is over a limit, which is named.
            UnsupportedType: it is of no kind that is read.
            Unreadable: it is empty, encrypted or damaged.
        """
        text = self._text(document, self.loaded.first)
        if any(finding.code == NOT_READ for finding in text.findings):
            current_context().report_degraded("text_extractor", reason="deadline", used="without_ocr")
        return text

    @fallback("without_ocr", of=extract)
    async def _extract_without_ocr(self, document: Document) -> Text:
        """The text of a document without that of pages which are pictures, which findings name."""
        return self._text(document, {**self.loaded.first, **self.loaded.quick})

    async def picture(self, request: PageRequest) -> bytes:
        """One page of a PDF or picture as PNG; raises as `extract` does, and `Unreadable` for kinds without pages."""
        content = request.document.content
        media_type = media_type_of(content, filename=request.document.filename, declared=request.document.media_type)
        if media_type not in {detection.PDF, detection.PNG, detection.JPEG, detection.TIFF}:
            raise Unreadable(f"{media_type} has no pages to show.", remedy="Its text can be shown.")
        return page_picture(content, media_type, page=request.page, dpi=request.dpi, limits=self.options.limits)

    def _text(self, document: Document, first: Mapping[str, Reader]) -> Text:
        self.options.limits.check("bytes", len(document.content), self.options.upload_bytes)
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
        language = self.loaded.languages.language_of(text.characters)
        findings = (*text.findings, *_general_findings(text, media_type, document.filename))
        return replace(text, document=replace(text.document, language=language), findings=findings)

    def _read(self, content: bytes, media_type: str, first: Mapping[str, Reader]) -> Reading:
        """By the first engine that can; when none can, the first failure tells, for that engine knows best."""
        limits = self.options.limits
        failed: Unreadable | None = None
        for engine, offered in self._attempts(content, media_type, first[media_type]):
            try:
                reading = _answer(engine, offered, limits)
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
        second = self.loaded.second.get(media_type)
        if second is not None:
            yield second, content
        # What is left of a container that was cut off is often all of the text.
        salvaged = repaired(content, self.options.limits) if content.startswith(b"PK") else None
        if salvaged is not None:
            yield first, salvaged


def _of_pictures(ocr: Ocr, limits: Limits) -> dict[str, Reader]:
    """The readers of kinds whose pages may be pictures."""
    pictures = PictureReader(ocr)
    return {
        detection.PDF: PdfReader(ocr=PdfPagePictures(ocr, limits)),
        detection.PNG: pictures,
        detection.JPEG: pictures,
        detection.TIFF: pictures,
    }


def _answer(engine: Reader, content: bytes, limits: Limits) -> Reading:
    try:
        return engine(content, limits)
    except (InvalidInput, MemoryError):
        raise
    # Parsers raise whatever a damaged file leads them to: to the sender all of it means the same.
    except Exception as error:
        raise Unreadable(
            f"It is damaged: its reader stumbled with {type(error).__name__}.", remedy="Open and save it anew."
        ) from error


def _general_findings(text: Text, media_type: str, filename: str | None) -> list[Finding]:
    findings = []
    if not text.characters:
        findings.append(Finding("no_text_found", "No text was found in the document."))
    if differs_from_name(media_type, filename):
        findings.append(Finding("wrong_extension", f"It is {media_type}, whatever its name says."))
    return findings
