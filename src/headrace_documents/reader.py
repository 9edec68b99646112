"""DocumentReader: documents read and not judged, for those who teach the classifier."""

from __future__ import annotations

from typing import Any

from headrace import pipeline
from headrace_documents.extraction import TextExtractionService
from headrace_documents.schema import Document, Text


class Transcript:
    """The text of a document as an answer."""

    def __init__(self, reading: Text) -> None:
        self.reading = reading

    def body(self) -> dict[str, Any]:
        """What was found out about the document."""
        return {"document": self.reading.document}

    def text(self) -> str:
        """All that was read."""
        return self.reading.characters

    def explanation(self) -> None:
        """Nothing was judged."""
        return

    def confidence(self) -> None:
        """Nothing was judged."""
        return


@pipeline
class DocumentReader:
    """Reads a document, as `DocumentAnalyzer` does before it judges."""

    def __init__(self) -> None:
        self.text_extractor = TextExtractionService()

    async def read(self, document: Document) -> Transcript:
        """The text of a document."""
        return Transcript(await self.text_extractor.extract(document))
