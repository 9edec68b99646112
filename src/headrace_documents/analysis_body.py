"""The analysis as it goes out: the fields of its JSON, from which the contract is written."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from headrace_documents.schema import Box, DocumentInfo


class EvidenceBody(TypedDict):
    """Words and what they add to the score; formats without pages have neither page nor boxes."""

    text: str
    weight: float
    start: int
    end: int
    occurrences: int
    page: NotRequired[int]
    boxes: NotRequired[list[Box]]


class ExplanationBody(TypedDict):
    """`base`, the weights of the `evidence` and `rest` add up to `total`, the score of the label."""

    method: str
    base: float
    rest: float
    total: float
    evidence: list[EvidenceBody]


class ClassificationBody(TypedDict):
    """The label, how likely each one is, how many characters every part of the classifier has read, and why."""

    label: str
    confidence: float
    probabilities: dict[str, float]
    characters_read: int
    explanation: ExplanationBody


class SpanBody(TypedDict):
    """Characters of the text that was read."""

    start: int
    end: int


class SentenceBody(TypedDict):
    """A sentence and its place; one by a language model names its sources, and has no place if it is not supported."""

    text: str
    score: float
    start: int | None
    end: int | None
    supported: NotRequired[bool]
    sources: NotRequired[list[SpanBody]]
    page: NotRequired[int]
    boxes: NotRequired[list[Box]]


class SummaryBody(TypedDict):
    """The sentences in reading order, and how they were found."""

    method: str
    sentences: list[SentenceBody]


class FindingBody(TypedDict):
    """What a reader of the answer should know: `code` for machines, `detail` in words."""

    code: str
    detail: str
    page: NotRequired[int]


class QualityBody(TypedDict):
    """`ok`, or `suspect` for the reasons among the findings."""

    verdict: str
    findings: list[FindingBody]


class AnalysisBody(TypedDict):
    """What a document is, why, and what it says."""

    document: DocumentInfo
    classification: ClassificationBody
    summary: SummaryBody
    quality: QualityBody
