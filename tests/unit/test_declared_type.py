"""What the sender said that a document is counts against it only where its content is clearly of another kind."""

from types import SimpleNamespace

import pytest

from headrace.domain.report import Verdict
from headrace.monitoring.anomaly import AnomalyDetector
from headrace.monitoring.near_duplicates import RecentTexts
from headrace.monitoring.quality import Inspector, default_rules
from headrace_documents.analyzer import Analysis
from headrace_documents.media_types import contradicted

PDF = "application/pdf"


@pytest.mark.parametrize(
    ("found", "declared", "told"),
    [
        (PDF, "image/png", "image/png"),
        ("image/png", "Application/PDF; version=1.7", PDF),
        (PDF, PDF, None),
        ("text/csv", "text/plain; charset=utf-8", None),
        (PDF, "application/octet-stream", None),
        (PDF, "application/x-www-form-urlencoded", None),
        (PDF, None, None),
    ],
)
def test_a_declared_type_contradicts_only_where_it_is_a_known_kind_and_another_one(found, declared, told):
    assert contradicted(found, declared) == told


def test_a_document_that_is_not_what_its_sender_says_is_in_doubt():
    document = SimpleNamespace(filename="x", media_type=PDF, size_bytes=9, pages=None, language="en")
    reading = SimpleNamespace(document=document, characters="A letter to a friend.", findings=(), pages=())
    parts = {"text": reading, "classification": SimpleNamespace(embedding=None), "summary": None}

    def inspected(declared):
        anomaly, recent = AnomalyDetector(level=0.01), RecentTexts()
        inspector = Inspector(default_rules(anomaly=anomaly, recent=recent), anomaly=anomaly, recent=recent)
        return inspector.inspect(Analysis(**parts, declared_type=declared).facts())

    assert inspected(PDF).verdict is Verdict.OK
    assert inspected("image/png").verdict is Verdict.SUSPECT
    assert [each.code for each in inspected("image/png").findings] == ["type_mismatch"]
