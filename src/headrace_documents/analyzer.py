"""DocumentAnalyzer: the whole story of a document on one page."""

from __future__ import annotations

from asyncio import gather
from statistics import fmean
from typing import Any, cast

from headrace import Columns, Observation, pipeline
from headrace_documents.analysis_body import AnalysisBody, ExplanationBody, FindingBody, SentenceBody
from headrace_documents.classification import ClassificationService
from headrace_documents.classifier.contributions import columns_of, kept_columns, weights_of
from headrace_documents.classifier.embedding import projected
from headrace_documents.extraction import TextExtractionService
from headrace_documents.media_types import contradicted
from headrace_documents.schema import (
    UNKNOWN_LANGUAGE,
    Classification,
    Document,
    Explanation,
    Finding,
    Sentence,
    Summary,
    Text,
)
from headrace_documents.summarization import SummarizationService

REMARKS = frozenset({"attachment", "read_as_shown"})
"""Findings that are worth telling and cast no doubt on the answer; every other one makes it suspect."""

CUT = frozenset({"truncated", "page_damaged", "page_not_read"})
"""Findings that say a part of the document was not read."""

UNSURE_BELOW = 0.5
"""Less likely than all other labels together."""


class Analysis:
    """What a document is, why, and what it says. Keeps the promise of an answer; `reading` is the text with places.

    `declared_type` is what the sender said that it is.
    """

    def __init__(
        self, *, text: Text, classification: Classification, summary: Summary, declared_type: str | None = None
    ) -> None:
        self.reading = text
        self.declared_type = declared_type
        self.classification = classification
        self.summary = summary

    def body(self) -> AnalysisBody:
        """The fields on the wire."""
        found = self.classification
        evidence = list(Columns(columns_of(found.explanation.evidence)).rows())
        return {
            "document": self.reading.document,
            "classification": {
                "label": found.label,
                "confidence": found.confidence,
                "probabilities": found.probabilities,
                "characters_read": found.characters_read,
                "explanation": cast("ExplanationBody", _sum(found.explanation) | {"evidence": evidence}),
            },
            "summary": {
                "method": self.summary.method,
                "sentences": [_sentence(sentence) for sentence in self.summary.sentences],
            },
            "quality": {"verdict": self.verdict(), "findings": [_finding(each) for each in self.findings()]},
        }

    def text(self) -> str:
        """What all offsets count in."""
        return self.reading.characters

    def explanation(self) -> dict[str, Any]:
        """Every contribution to the score of the label."""
        found = self.classification.contributions
        return {"label": self.classification.label} | _sum(found) | {"evidence": kept_columns(found.evidence)}

    def confidence(self) -> float:
        """How likely the label is."""
        return self.classification.confidence

    def label(self) -> str:
        """What rollouts compare answers by, and feedback is about."""
        return self.classification.label

    def facts(self) -> dict[str, Any]:
        """What the rules of quality look at."""
        document = self.reading.document
        sure = [page.ocr_confidence for page in self.reading.pages if page.ocr_confidence is not None]
        return {
            "name": document.filename,
            "media_type": document.media_type,
            "declared_type": contradicted(document.media_type, self.declared_type),
            "size_bytes": document.size_bytes,
            "pages": document.pages,
            "text": self.reading.characters,
            "language": document.language,
            "ocr_confidence": fmean(sure) if sure else None,
            "truncated": any(finding.code in CUT for finding in self.reading.findings),
            "embedding": self.classification.embedding,
        }

    def observation(self) -> Observation:
        """What is watched: the label, the reading, and which words spoke for the label."""
        document, found = self.reading.document, self.classification
        contributions = {"base": found.explanation.base, "rest": found.explanation.rest}
        for text, weight in weights_of(found.explanation.evidence):
            word = text.casefold()
            contributions[word] = contributions.get(word, 0.0) + weight
        numbers = {"words": float(len(self.reading.words)), "size_bytes": float(document.size_bytes)}
        if document.pages:
            numbers["pages"] = float(document.pages)
        return Observation(
            numbers=numbers,
            categories={"label": found.label, "ocr": "yes" if document.ocr else "no"},
            tags={"language": document.language or UNKNOWN_LANGUAGE, "type": document.media_type},
            contributions=contributions,
            embedding=projected(found.embedding),
        )

    def findings(self) -> tuple[Finding, ...]:
        """What a reader of the answer should know: of the reading first, then of the answer."""
        found = self.reading.findings
        sure = self.classification.confidence
        if self.reading.characters and sure < UNSURE_BELOW:
            detail = f"The label is unsure: {self.classification.label} with {sure:.0%}."
            found += (Finding("low_confidence", detail),)
        return found

    def verdict(self) -> str:
        """`suspect` when a finding casts doubt on the answer, else `ok`."""
        return "suspect" if any(finding.code not in REMARKS for finding in self.findings()) else "ok"


@pipeline
class DocumentAnalyzer:
    """Reads a document, says what it is and why, and sums it up."""

    def __init__(self) -> None:
        self.text_extractor = TextExtractionService()
        self.classifier = ClassificationService()
        self.summarizer = SummarizationService()

    async def analyze(self, document: Document) -> Analysis:
        """What kind of document it is, which words say so, and its most telling sentences."""
        text = await self.text_extractor.extract(document)
        classification, summary = await gather(self.classifier.classify(text), self.summarizer.summarize(text))
        return Analysis(text=text, classification=classification, summary=summary, declared_type=document.media_type)


def _sum(explanation: Explanation) -> dict[str, Any]:
    """What an explanation adds up to, and of what besides its evidence."""
    return {
        "method": explanation.method,
        "base": explanation.base,
        "rest": explanation.rest,
        "total": explanation.total,
    }


def _sentence(sentence: Sentence) -> SentenceBody:
    fields: SentenceBody = {
        "text": sentence.text,
        "score": sentence.score,
        "start": sentence.start,
        "end": sentence.end,
    }
    if sentence.sources:
        fields["supported"] = sentence.supported
        fields["sources"] = [{"start": start, "end": end} for start, end in sentence.sources]
    elif not sentence.supported:
        fields["supported"] = False
    if sentence.page is not None:
        fields["page"], fields["boxes"] = sentence.page, sentence.boxes
    return fields


def _finding(finding: Finding) -> FindingBody:
    fields: FindingBody = {"code": finding.code, "detail": finding.detail}
    if finding.page is not None:
        fields["page"] = finding.page
    return fields
