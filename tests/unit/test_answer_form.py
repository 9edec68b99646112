"""What the contract says of answers, and the flagship's own answer held against it."""

from types import SimpleNamespace
from typing import Any, NotRequired, TypedDict

import msgspec
import pytest

from headrace import pipeline
from headrace.gateway.answer_form import answer_type
from headrace.serving.pipeline import routes_of
from headrace.serving.plain import schema_of
from headrace_documents.analyzer import DocumentAnalyzer


class Weighed(TypedDict):
    weight: float
    remark: NotRequired[str]


class Flour:
    def body(self) -> Weighed:
        return {"weight": 1.0}

    def text(self) -> str | None:
        return None

    def explanation(self) -> dict[str, Any] | None:
        return None

    def confidence(self) -> float | None:
        return None


class Untold(Flour):
    def body(self):
        return {"weight": 1.0}


class Nobodys:
    """Nothing that JSON has a schema for."""


@pipeline
class Mill:
    async def grind(self, corn: str) -> Flour:
        raise NotImplementedError

    async def sift(self, corn: str) -> Untold:
        raise NotImplementedError

    async def count(self, corn: str) -> list[int]:
        raise NotImplementedError

    async def guess(self, corn: str) -> Nobodys:
        raise NotImplementedError

    async def shrug(self, corn: str):
        raise NotImplementedError


COMMON = {"decision_id", "release", "variant", "degraded", "timings_ms"}


def form(kind, method):
    route = next(each for each in routes_of(kind) if each.method == method)
    made = answer_type(SimpleNamespace(route=route, path=route.path))
    (_,), schemas = msgspec.json.schema_components([made], schema_hook=schema_of)
    return schemas[made.__name__], schemas


@pytest.mark.parametrize(
    ("method", "own"),
    [("grind", {"weight"}), ("sift", set()), ("count", {"output"}), ("guess", {"output"}), ("shrug", {"output"})],
)
def test_an_answer_has_what_all_have_and_what_its_author_says(method, own):
    found, _ = form(Mill, method)

    assert set(found["required"]) == COMMON | own
    assert {"quality", "tags"} <= set(found["properties"])


def test_a_field_that_may_be_missing_is_told_and_not_required():
    found, _ = form(Mill, "grind")

    assert found["properties"]["remark"] == {"type": "string"}


def test_the_analysis_is_told_to_its_leaves():
    found, schemas = form(DocumentAnalyzer, "analyze")

    assert set(found["required"]) == COMMON | {"document", "classification", "summary", "quality"}
    assert {"ClassificationBody", "ExplanationBody", "EvidenceBody", "SentenceBody", "DocumentInfo"} <= set(schemas)
    assert {"text", "weight", "start", "end"} <= set(schemas["EvidenceBody"]["required"])
    assert "boxes" not in schemas["EvidenceBody"]["required"]
