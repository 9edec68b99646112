"""TextExtractionService: which reader for which document; every word keeps its place on the page."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headrace import Guard, Service, current_context, fallback
from headrace_documents.readers.reader import NOT_READ, Limits
from headrace_documents.readers.tessdata import FOLDERS
from headrace_documents.schema import AtLeastOne, Document, Text

if TYPE_CHECKING:
    from headrace_documents.engines import Engines

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """`[services.text_extractor]`: `upload_bytes` bounds a document, `tessdata` is the folder of Tesseract's data."""

    upload_bytes: AtLeastOne = 50 * MIB
    tessdata: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Asks for the picture of one page, `page` from 1."""

    document: Document
    page: int
    dpi: float = 110.0


class TextExtractionService(Service):
    """Documents in, text with places out. Runs in guarded processes, for documents come from anywhere."""

    guard = Guard(readable=FOLDERS)
    options: ExtractionOptions = ExtractionOptions()
    loaded: Engines

    def load(self, artifact: Path | None) -> Engines:  # noqa: ARG002 - it needs no model from the registry
        """The readers; nothing of them is slow but the detector of languages."""
        # Parsers are imported where they run, in guarded processes: servers and the command line do without them.
        from headrace_documents.engines import Engines  # noqa: PLC0415

        # Libraries warn about every oddity of a document on their loggers; what matters becomes a finding.
        logging.disable(logging.CRITICAL)
        return Engines.ready(self.options.limits, tessdata=self.options.tessdata or None)

    async def extract(self, document: Document) -> Text:
        """The text of a document; pages that are pictures are left out, and said to be, when the time is too short.

        Raises:
            TooLarge: it is over a limit, which is named.
            UnsupportedType: it is of no kind that is read.
            Unreadable: it is empty, encrypted or damaged.
        """
        self._check(document)
        text = self.loaded.text(document)
        if any(finding.code == NOT_READ for finding in text.findings):
            current_context().report_degraded("text_extractor", reason="deadline", used="without_ocr")
        return text

    @fallback("without_ocr", of=extract)
    async def _extract_without_ocr(self, document: Document) -> Text:
        """The text of a document without that of pages which are pictures, which findings name."""
        self._check(document)
        return self.loaded.text(document, is_quick=True)

    async def picture(self, request: PageRequest) -> bytes:
        """One page of a PDF or picture as PNG; raises as `extract` does, and `Unreadable` for kinds without pages."""
        return self.loaded.picture(request.document, page=request.page, dpi=request.dpi)

    def _check(self, document: Document) -> None:
        self.options.limits.check("bytes", len(document.content), self.options.upload_bytes)
