"""Pipelines and services as authors write them."""

import asyncio
from dataclasses import dataclass

import pytest

from headrace import InvalidInput, Service, batched, current_context, pipeline
from headrace.errors import InvalidConfiguration
from headrace.serving.context import Context, within
from headrace.serving.pipeline import kebab, routes_of, services_of


@dataclass(frozen=True)
class Question:
    text: str


class Counting(Service):
    loads = 0
    loaded: str

    def load(self, artifact):
        type(self).loads += 1
        return "model"

    @batched(max_size=4)
    async def count(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    async def name(self, text: str) -> str:
        return f"{self.loaded} {text}"

    async def _secret(self, text: str) -> str:
        return text

    def plain(self, text: str) -> str:
        return text


@pipeline
class WordCounter:
    """Counts words.

    And more.
    """

    def __init__(self) -> None:
        self.counting = Counting()
        self.other = 3

    async def count_all(self, question: Question) -> int:
        return await self.counting.count(question.text)

    async def name(self, question: Question) -> str:
        """Names it."""
        return await self.counting.name(question.text)

    async def _hidden(self, question: Question) -> int:
        return 1


def test_every_public_async_method_of_a_pipeline_is_an_endpoint():
    routes = routes_of(WordCounter)

    assert [route.path for route in routes] == ["word-counter/count-all", "word-counter/name"]
    assert [route.argument for route in routes] == [Question, Question]
    assert [route.answer for route in routes] == [int, str]
    assert [route.summary for route in routes] == ["Counts words.", "Names it."]


def test_every_public_async_method_of_a_service_is_a_method_of_its_replicas():
    assert sorted(Counting.methods) == ["count", "name"]
    assert Counting.methods["count"].max_batch_size == 4
    assert Counting.methods["name"].max_batch_size is None


def test_a_service_inherits_the_methods_of_its_parent():
    class Child(Counting):
        async def name(self, text: str) -> str:
            return "child"

    assert sorted(Child.methods) == ["count", "name"]
    assert asyncio.run(Child().name("x")) == "child"
    assert asyncio.run(Child().count("four")) == 4


def test_a_pipeline_knows_its_services_by_attribute():
    assert list(services_of(WordCounter())) == ["counting"]


def test_an_unbound_pipeline_runs_in_place_and_loads_once():
    Counting.loads = 0
    counter = WordCounter()

    async def both():
        return await counter.count_all(Question("water")), await counter.name(Question("mill"))

    assert asyncio.run(both()) == (5, "model mill")
    assert Counting.loads == 1


def test_a_function_is_no_pipeline():
    with pytest.raises(InvalidConfiguration, match=r"is no class, and a pipeline is one. Write @pipeline above"):

        @pipeline
        async def grind(corn: str) -> str:
            return corn


def test_a_pipeline_without_endpoints_is_refused():
    with pytest.raises(InvalidConfiguration, match="Empty has no public async method"):

        @pipeline
        class Empty:
            def plain(self) -> None: ...


def test_an_endpoint_of_two_arguments_is_refused():
    with pytest.raises(InvalidConfiguration, match="takes 2 arguments"):

        @pipeline
        class Two:
            async def join(self, one: str, two: str) -> str:
                return one + two


def test_an_endpoint_that_does_not_say_its_type_is_refused():
    with pytest.raises(InvalidConfiguration, match="does not say the type of 'one'"):

        @pipeline
        class Vague:
            async def join(self, one):
                return one


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("DocumentAnalyzer", "document-analyzer"),
        ("PDFReader", "pdf-reader"),
        ("read_all", "read-all"),
        ("Read2", "read2"),
        ("HTTPServerV2Thing", "http-server-v2-thing"),
    ],
)
def test_names_become_paths(name, path):
    assert kebab(name) == path


def test_a_call_outside_of_any_context_has_no_deadline_and_leaves_no_trace():
    current_context().report_degraded("x", reason="y", used="z")

    assert current_context().degraded == []
    assert current_context().remaining_s() is None


def test_what_runs_within_a_context_finds_it():
    mine = Context(key="mine")

    with within(mine):
        found = current_context()

    assert found is mine
    assert current_context() is not mine


def test_an_error_tells_what_failed_and_the_remedy():
    assert str(InvalidInput("It is empty.", remedy="Send more.")) == "It is empty. Send more."
