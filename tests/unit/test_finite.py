"""Numbers that are none are found in answers before callers get them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from headrace import Service, ServiceFailed, batched
from headrace.serving.context import Context, within
from headrace.serving.finite import finder, found_in
from headrace.serving.pool import Pool
from headrace.serving.runtimes.threads import ThreadReplicas


@dataclass
class Part:
    weight: float = 0.0


@dataclass
class Answer:
    label: str = ""
    score: float = 0.0
    maybe: float | None = None
    shares: dict[str, float] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    vector: np.ndarray = field(default_factory=lambda: np.zeros(2))
    note: object = None
    boxes: np.ndarray = field(default_factory=lambda: np.zeros(2), metadata={"missing": "nan"})
    late: list[float] = field(default_factory=list, metadata={"made": "late"})


class Judge(Service):
    @batched(max_size=4)
    async def judge(self, questions: list[float]) -> list[Answer]:
        return [Answer(score=question) for question in questions]

    async def name(self, question: float) -> str:
        return str(question)

    async def score(self, question: float) -> float:
        return question


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (Answer(), None),
        (Answer(score=NAN), ".score"),
        (Answer(maybe=-INFINITE), ".maybe"),
        (Answer(shares={"a": 0.5, "b": NAN}), ".shares['b']"),
        (Answer(parts=[Part(), Part(INFINITE)]), ".parts[1].weight"),
        (Answer(vector=np.array([0.0, NAN])), ".vector"),
        (Answer(vector=np.array([1, 2])), None),
        (Answer(boxes=np.array([NAN, 1.0])), None),
        (Answer(late=[NAN]), None),
    ],
)
def test_the_place_of_the_first_is_told(answer, place):
    assert finder(Judge.methods["judge"])(answer) == place


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (np.array(["a", "b"]), None),
        (np.array([None, "b"], dtype=object), None),
        (np.array([True, False]), None),
        (np.array([0.5, NAN]), ""),
        (np.float32(INFINITE), ""),
        ({"words": np.array(["a"]), "shares": {"a": [0.5, NAN]}}, "['shares']['a'][1]"),
        ({INFINITE}, "[0]"),
        ([Part(), Part(NAN)], "[1].weight"),
        ([[[[NAN]]]], "[0][0][0][0]"),
        ([[[[[NAN]]]]], None),
        ([0.0] * 256 + [NAN], None),
    ],
)
def test_values_of_any_type_are_looked_at(value, place):
    assert found_in(value) == place


class Rows(np.ndarray):
    pass


class Measure(Service):
    async def rows(self, question: float) -> Rows:
        return np.array([question]).view(Rows)

    async def share(self, question: float) -> np.float32:
        return np.float32(question)

    async def double(self, question: float) -> np.float64:
        return np.float64(question)


@pytest.mark.parametrize("name", ["rows", "share", "double"])
async def test_kinds_of_arrays_and_numbers_are_looked_at_as_their_annotations_say(name):
    method = Measure.methods[name]
    find = finder(method)

    assert find is not None
    assert find(await method.run(Measure(), 1.0)) is None
    assert find(await method.run(Measure(), NAN)) == ""


def test_answers_without_numbers_are_not_looked_at():
    assert finder(Judge.methods["name"]) is None
    assert finder(Judge.methods["score"])(NAN) == ""


async def test_an_answer_with_nan_is_a_failed_service():
    pool = Pool("judge", ThreadReplicas(Judge, count=1), model=None)
    await pool.start()
    try:
        with within(Context()):
            fine = await pool.call(Judge.methods["judge"], 1.0)
            with pytest.raises(ServiceFailed, match=r"judge answered with a number that is none, at answer\.score"):
                await pool.call(Judge.methods["judge"], NAN)
    finally:
        await pool.close()

    assert fine.score == 1.0
