"""What is learned of the time that calls take, and who then shares one."""

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Service, batched
from headrace.errors import Overloaded
from headrace.serving.batcher import TURNS_BEFORE_BATCH, Call, Line
from headrace.serving.context import Context, Priority
from headrace.serving.costs import Costs, bucket_of


class Lengths(Service):
    @batched(max_size=16, size=len)
    async def measure(self, words: list[str]) -> list[int]:
        return [len(word) for word in words]


MEASURE = Lengths.methods["measure"]


def served(seconds_of, *, most=64, rounds=200, bucket=0):
    """The counts that are chosen, call after call, when a call with n questions takes `seconds_of(n)`."""
    costs = Costs()
    chosen = []
    for _ in range(rounds):
        count = costs.best_count(bucket, most)
        costs.learn(bucket, count, seconds_of(count))
        chosen.append(count)
    return chosen


def test_company_is_sought_where_a_call_costs_more_than_its_questions():
    chosen = served(lambda count: 1e-3 + 1e-6 * count)

    assert chosen[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert chosen[-50:].count(64) >= 48


def test_no_company_where_it_does_not_pay():
    chosen = served(lambda count: 20e-3 * count)

    assert chosen[-100:].count(1) >= 98


def test_no_company_for_what_is_chance():
    chance = Random(3)

    chosen = served(lambda count: count * 20e-3 * chance.uniform(0.7, 1.3), rounds=2000)

    assert chosen.count(1) >= 1900


def test_company_where_it_pays_a_little_and_surely():
    chosen = served(lambda count: 5e-3 + 15e-3 * count, rounds=600)

    assert chosen[-100:].count(1) <= 5


def test_no_company_where_it_loses():
    chosen = served(lambda count: 20e-3 * count**1.3)

    assert chosen[-100:].count(1) >= 98


def test_company_grows_only_as_far_as_it_pays():
    chosen = served(lambda count: 1e-3 * max(1, count / 8) ** 2)

    assert chosen[-100:].count(8) >= 90


def test_a_change_is_noticed():
    costs = Costs()
    for _ in range(300):
        count = costs.best_count(0, 8)
        costs.learn(0, count, 1e-3 * count)
    before = costs.best_count(0, 8)
    for _ in range(2000):
        count = costs.best_count(0, 8)
        costs.learn(0, count, 1e-3 + 1e-5 * count)

    assert before == 1
    assert costs.best_count(0, 8) > 1


def test_one_lost_moment_does_not_change_what_is_typical():
    costs = Costs()
    for _ in range(50):
        costs.learn(0, 1, 1e-4)
    costs.learn(0, 1, 5.0)

    assert costs.recent(0).typical_s == pytest.approx(1e-4, rel=0.5)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_in_one_bucket_none_is_much_longer_than_another(one, other):
    if bucket_of(one) == bucket_of(other):
        assert max(one, other) / min(one, other) < 1.4143


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def call(loop, word, priority=Priority.INTERACTIVE):
    return Call(method=MEASURE, question=word, context=Context(priority=priority), future=loop.create_future())


def taken(line):
    batches = []
    while len(line):
        batches.append([call.question for call in line.take()])
    return batches


def test_only_questions_of_like_length_share_a_call(loop):
    line = Line(bound=100)
    # Calls cost, questions do not: company pays.
    for count in (1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 16):
        for bucket in (bucket_of(1), bucket_of(64)):
            line.costs(MEASURE).learn(bucket, count, 1e-3)
    for word in ("a", "b" * 64, "c", "d" * 64, "e"):
        line.put(call(loop, word))

    assert taken(line) == [["a", "c", "e"], ["b" * 64, "d" * 64]]


def test_interactive_goes_first_shadows_last_and_nobody_waits_for_ever(loop):
    line = Line(bound=1000)
    line.put(call(loop, "shadow", Priority.SHADOW))
    line.put(call(loop, "batch", Priority.BATCH))
    for number in range(TURNS_BEFORE_BATCH + 4):
        line.put(call(loop, f"{number}", Priority.INTERACTIVE))
    line.answer_alone(MEASURE)

    order = [word for (word,) in taken(line)]

    assert order[:TURNS_BEFORE_BATCH] == [f"{number}" for number in range(TURNS_BEFORE_BATCH)]
    assert order[TURNS_BEFORE_BATCH] == "batch"
    assert order[-1] == "shadow"


def test_in_a_full_line_the_newest_of_a_lower_priority_gives_way(loop):
    line = Line(bound=3)
    waiting = [call(loop, "s", Priority.SHADOW), call(loop, "b1", Priority.BATCH), call(loop, "b2", Priority.BATCH)]
    for each in waiting:
        line.put(each)

    for word in ("i1", "i2", "i3"):
        line.put(call(loop, word))
    with pytest.raises(Overloaded):
        line.put(call(loop, "i4"))
    with pytest.raises(Overloaded):
        line.put(call(loop, "b3", Priority.BATCH))

    assert all(isinstance(each.future.exception(), Overloaded) for each in waiting)
    assert len(line) == 3


def test_a_caller_that_has_gone_keeps_no_place(loop):
    line = Line(bound=1)
    gone = call(loop, "gone")
    line.put(gone)

    line.withdraw(gone)
    line.withdraw(gone)
    line.put(call(loop, "next"))

    assert taken(line) == [["next"]]
