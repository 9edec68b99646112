"""Values of authors' own kinds, as questions and as answers, and what their own code raises."""

import asyncio
import dataclasses
from contextlib import nullcontext
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import BaseModel, Field, RootModel

from headrace import Service, ServiceFailed, Upload, batched, pipeline
from headrace.domain.release import Variant
from headrace.errors import Malformed
from headrace.gateway.openapi import document_of
from headrace.gateway.operation import Content, Operation
from headrace.gateway.route import Route as HttpRoute
from headrace.serving.admission import Admission
from headrace.serving.context import Context
from headrace.serving.endpoint import Endpoint
from headrace.serving.inference import Face, face_of
from headrace.serving.pipeline import routes_of
from headrace.serving.plain import schema_of
from headrace.serving.pool import Pool
from headrace.serving.question import question_of, question_type
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace.serving.tensors import Tensor
from headrace.serving.wire import Codec, codecs_of


class Item(BaseModel):
    name: str = Field(min_length=1)
    price: float = Field(gt=0, alias="cost")
    parts: list["Item"] = []


class Names(RootModel[list[str]]):
    pass


@dataclasses.dataclass
class Basket:
    items: list[Item]
    weights: npt.NDArray[np.float32]


@pipeline
class Shop:
    async def price(self, item: Item) -> Item:
        return item

    async def prices(self, items: list[Item]) -> list[Item]:
        return items

    async def weigh(self, basket: Basket) -> Basket:
        return basket

    async def name(self, names: Names) -> Names:
        return names

    async def count(self, number: int = 3) -> int:
        return number


ROUTES = {route.method: route for route in routes_of(Shop)}


def asked(method, body):
    return question_of(ROUTES[method], Upload(body, media_type="application/json"))


def endpoint(run):
    return Endpoint(
        ROUTES["price"],
        run,
        admission=Admission(bound=4),
        witnesses=(),
        choose=lambda _key: Variant("sha256:1"),
        hold=lambda _release: nullcontext(),
    )


async def answer_to(value):
    async def run(_question):
        return value

    answered = await endpoint(run).answer("", context=Context(), input_digest="x")
    return msgspec.json.decode(answered.body)["output"]


def test_models_and_arrays_are_made_from_json():
    item = asked("price", b'{"name": "pen", "cost": 2, "parts": [{"name": "cap", "cost": 1}]}')
    basket = asked("weigh", b'{"items": [{"name": "pen", "cost": 2}], "weights": [1, 2.5]}')

    assert item == Item(name="pen", cost=2, parts=[Item(name="cap", cost=1)])
    assert basket.items == [Item(name="pen", cost=2)]
    assert basket.weights.dtype == np.float32
    assert basket.weights.tolist() == [1.0, 2.5]
    assert asked("name", b'{"names": ["a"]}') == Names(["a"])
    assert asked("count", b"{}") == 3


@pytest.mark.parametrize(
    ("method", "body", "named"),
    [
        ("price", b'{"name": "", "cost": -1}', "name: String should have.*cost: Input should be greater than 0"),
        ("prices", b'{"items": [{"name": "pen"}]}', r"cost: Field required - at `\$.items\[0\]`"),
        ("weigh", b'{"items": [], "weights": [[1], [1, 2]]}', "inhomogeneous|an array of numbers"),
        ("weigh", b'{"items": [], "weights": ["a"]}', "an array of numbers"),
    ],
)
def test_data_that_does_not_fit_is_named(method, body, named):
    with pytest.raises(Malformed, match=named):
        asked(method, body)


def test_the_contract_describes_models_without_leading_elsewhere():
    takes = [Content(question_type(route)) for route in ROUTES.values()]
    routes = [
        HttpRoute("POST", f"/{place}", None, Operation("", "shop", takes=(each,), gives={200: Content({})}))
        for place, each in enumerate(takes)
    ]

    document = document_of(routes, version="1", needs_keys=False)

    text = msgspec.json.encode(document).decode()
    assert "$defs" not in text
    assert schema_of(Item)["properties"]["cost"] == {"exclusiveMinimum": 0, "title": "Cost", "type": "number"}
    assert '"exclusiveMinimum":0' in text


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (np.arange(3), [0, 1, 2]),
        ({"a": np.float32(1.5), "b": np.bool_(True)}, {"a": 1.5, "b": True}),
        ([Item(name="pen", cost=2)], [{"name": "pen", "cost": 2.0, "parts": []}]),
        (None, None),
    ],
)
async def test_arrays_and_models_are_answers(value, output):
    assert await answer_to(value) == output


NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (NAN, "at answer"),
        ({"a": [None, NAN]}, r"at answer\['a'\]\[1\]"),
        (np.array([1, np.inf]), "at answer"),
        (np.float32("nan"), "at answer"),
        (Item.model_construct(name="", price=NAN), "at answer.price"),
        ([Basket([], np.array([NAN]))], r"at answer\[0\].weights"),
    ],
)
async def test_a_number_that_is_none_does_not_go_out_as_null(value, place):
    with pytest.raises(ServiceFailed, match=f"a number that is none, {place}"):
        await answer_to(value)


@pytest.mark.parametrize("value", [object(), 1j, "\ud800", [lambda: 1]])
async def test_an_answer_without_a_form_in_json_is_named(value):
    with pytest.raises(ServiceFailed, match=r"shop/price gave an answer that cannot be written as JSON"):
        await answer_to(value)


@pytest.mark.parametrize("raised", [ValueError("secret"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_whatever_a_pipeline_raises_is_its_failure(raised):
    async def run(_question):
        raise raised

    with pytest.raises(ServiceFailed, match=f"shop/price failed: {type(raised).__name__}. The log") as failed:
        await endpoint(run).answer("", context=Context(), input_digest="x")

    assert failed.value.__cause__ is raised


async def test_a_caller_that_goes_away_is_no_failure():
    begun = asyncio.Event()

    async def run(_question):
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(endpoint(run).answer("", context=Context(), input_digest="x"))
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


class Rows(Service):
    @batched(max_size=4)
    async def numbers(self, questions: list[float]) -> list[float]:
        return np.asarray(questions) * 2

    @batched(max_size=4)
    async def rows(self, questions: list[float]) -> list[np.ndarray]:
        return np.asarray([[question, 1] for question in questions])

    @batched(max_size=4)
    async def pair(self, questions: list[float]) -> list[float]:
        return tuple(questions)

    @batched(max_size=4)
    async def few(self, questions: list[float]) -> list[float]:
        return np.zeros(len(questions) + 1)

    async def untold(self, question: float):
        return {"score": question}

    async def told(self, question: float) -> dict[str, Any]:
        return {"scores": {"a": question}}

    @batched(max_size=4)
    async def price(self, items: list[Item]) -> list[Item]:
        return items


async def asked_of_rows(name, question):
    pool = Pool("rows", ThreadReplicas(Rows, count=1), model=None)
    await pool.start()
    try:
        return await pool.call(Rows.methods[name], question)
    finally:
        await pool.close()


async def test_the_rows_of_an_array_are_answers():
    row = await asked_of_rows("rows", 3.0)

    assert (row.tolist(), await asked_of_rows("numbers", 1.5), await asked_of_rows("pair", 2.0)) == ([3.0, 1], 3.0, 2.0)


async def test_too_many_answers_are_told_with_what_to_return():
    with pytest.raises(ServiceFailed, match=r"few was asked 1 questions and gave 2 answers. Return a list with one"):
        await asked_of_rows("few", 1.0)
    with pytest.raises(ServiceFailed, match=r"few was asked 1 questions and gave 2 answers. Return a list with one"):
        await Rows().few(1.0)


@pytest.mark.parametrize("name", ["untold", "told"])
async def test_answers_that_do_not_say_what_is_within_are_looked_at_too(name):
    with pytest.raises(ServiceFailed, match="a number that is none, at answer"):
        await asked_of_rows(name, NAN)


def test_models_cross_the_border_of_a_process_and_of_a_host():
    item = Item(name="pen", cost=2)
    question, answer = codecs_of(Rows.methods["price"])
    face = face_of(Rows.methods["price"])

    assert question.decode(answer.encode(item)) == item
    assert Codec(Any).decode(Codec(Any).encode(np.float32(1.5))) == 1.5
    assert face.questions(face.asked(item, as_msgpack=False)) == [item]
    assert face.answered(face.answers([item], as_msgpack=True)) == item


def test_an_element_of_a_kind_that_json_has_not_is_refused_to_its_sender():
    class Own:
        pass

    class Taking(Service):
        async def take(self, thing: Own) -> str:
            return str(thing)

    face = Face(Taking.methods["take"], "thing", Own, str, (Codec(Any), Codec(Any)))
    with pytest.raises(Malformed, match="An element is no Own"):
        face.questions(Tensor("thing", (1,), elements=(b'"a"',)))


def test_two_pipelines_of_one_name_keep_their_own_defaults():
    def mill(grade):
        @pipeline
        class Mill:
            async def grind(self, corn: str = grade) -> str:
                return corn

        return routes_of(Mill)[0]

    asked = [question_of(mill(grade), Upload(b"{}")) for grade in ("fine", "coarse")]

    assert asked == ["fine", "coarse"]
