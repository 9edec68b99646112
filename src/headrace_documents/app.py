"""The analyzer on a platform; and what the command line needs besides: a reader for training, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.assembly import Platform
from headrace_documents.analyzer import DocumentAnalyzer
from headrace_documents.extraction import TextExtractionService
from headrace_documents.installation import checks
from headrace_documents.reader import DocumentReader
from headrace_documents.report.report import HtmlReport
from headrace_documents.training import ClassifierTrainer

__all__ = ["app", "checks", "reader", "report"]

app = Platform(DocumentAnalyzer, trainers=(ClassifierTrainer(),))
reader = Platform(DocumentReader)


def report(folder: Path, services: Mapping[str, Any]) -> HtmlReport:
    """A report in `folder`, whose pages are drawn by the running services."""
    extractor = TextExtractionService()
    extractor.bind(services["text_extractor"])
    return HtmlReport(folder, extractor.picture)
