"""Numbers that are none are found in answers before callers get them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from headrace import Service, ServiceFailed, batched
from headrace.serving.context import Context, within
from headrace.serving.finite import finder
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
