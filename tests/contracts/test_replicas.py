"""What every place where replicas live must keep: threads of this process, guarded processes, other hosts."""

import asyncio
from functools import partial
from time import monotonic

import pytest
from authored import Echo, EchoOptions, GuardedEcho, GuardedUnloadable, Sheet, Unloadable
from distant import Distant

from headrace.errors import DeadlineExceeded, Overloaded, Retry, ServiceFailed, Unreadable
from headrace.serving.context import Context
from headrace.serving.runtime import ReplicaState
from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of
from headrace.serving.runtimes.threads import ThreadReplicas


def in_threads(kind=Echo, *, options=None, count=1, queue_bound=64):
    def make():
        service = kind()
        service.options = options or kind.options
        service.load_once(None)
        return service

    return ThreadReplicas(make, count=count, queue_bound=queue_bound)


def in_processes(kind=GuardedEcho, *, options=None, count=1, queue_bound=64):
    service = kind()
    service.options = options or kind.options
    origin = origin_of(service, guard=kind.guard, artifact=None)
    return GuardedReplicas(origin, kind.methods, count=count, queue_bound=queue_bound)


def far_away(kind=Echo, *, options=None, count=1, queue_bound=64):
    hosts = [in_threads(kind, options=options) for _ in range(count)]
    return Distant(kind, hosts, queue_bound=queue_bound)


@pytest.fixture(params=[in_threads, in_processes, far_away], ids=["threads", "processes", "remote"])
def build(request):
    return request.param


@pytest.fixture
async def replicas(build):
    built = build()
    await built.start()
    yield built
    await built.close()


async def ask(replicas, method, question, context=None):
    return await replicas.ask(Echo.methods[method], question, context or Context())


async def test_a_question_is_answered_with_what_it_took(replicas):
    reply = await ask(replicas, "echo", "water")

    assert reply.value == "water"
    assert reply.batch_size == 1
    assert reply.queued_ms >= 0
    assert reply.compute_ms > 0


async def test_columns_and_bytes_arrive_as_they_were_sent(replicas):
    reply = await ask(replicas, "measure", Sheet(b"\x00\xff" * 1_000_000, "big"))

    assert reply.value.size == 2_000_000
    assert reply.value.name == "big"
    assert reply.value.column.dtype == "float32"
    assert reply.value.column.tolist() == [0, 1, 2]


async def test_a_replica_is_loaded_and_has_answered_its_warm_up_before_it_is_ready(replicas):
    reply = await ask(replicas, "warm", "question")

    assert reply.value == 3


async def test_a_method_that_is_written_for_many_is_asked_with_one(replicas):
    reply = await ask(replicas, "echo_many", "alone")

    assert reply.value == "alone"


async def test_questions_asked_together_are_answered_each_in_its_own_name(replicas):
    replies = await asyncio.gather(*(ask(replicas, "echo_many", f"word {number}") for number in range(30)))

    assert [reply.value for reply in replies] == [f"word {number}" for number in range(30)]


async def test_a_question_that_fails_does_not_fail_its_neighbours(replicas):
    words = ["one", "refuse", "two", "three"]

    replies = await asyncio.gather(*(ask(replicas, "echo_many", word) for word in words), return_exceptions=True)

    assert isinstance(replies[1], Unreadable)
    assert [reply.value for index, reply in enumerate(replies) if index != 1] == ["one", "two", "three"]


async def test_a_method_of_the_service_may_call_its_others(replicas):
    reply = await ask(replicas, "echo_twice", "ho")

    assert reply.value == "hoho"


async def test_options_reach_every_replica(build):
    replicas = build(options=EchoOptions(prefix="> "))
    await replicas.start()
    try:
        reply = await ask(replicas, "echo", "water")
    finally:
        await replicas.close()

    assert reply.value == "> water"


async def test_an_error_of_the_tree_keeps_its_class_detail_and_remedy(replicas):
    with pytest.raises(Unreadable) as caught:
        await ask(replicas, "refuse", "a.pdf")

    assert caught.value.detail == "a.pdf is damaged."
    assert caught.value.remedy == "Save it anew."


async def test_an_error_that_may_be_tried_again_says_so(replicas):
    with pytest.raises(Retry) as caught:
        await ask(replicas, "retry", "later")

    assert caught.value.retryable


async def test_a_foreign_error_is_a_failed_service_whose_text_is_not_told(replicas):
    with pytest.raises(ServiceFailed) as caught:
        await ask(replicas, "stumble", "password")

    assert "ValueError" in str(caught.value)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("method", ["stumble", "refuse", "leave"])
async def test_a_replica_that_raised_answers_the_next_question(replicas, method):
    with pytest.raises((ServiceFailed, Unreadable)):
        await ask(replicas, method, "x")

    assert (await ask(replicas, "echo", "still here")).value == "still here"


async def test_too_few_answers_are_a_failed_service(replicas):
    with pytest.raises((ServiceFailed, Unreadable)):
        await ask(replicas, "lose", "x")

    assert (await ask(replicas, "echo", "still here")).value == "still here"


async def test_progress_and_lesser_answers_reach_the_callers_context(replicas):
    seen = []
    context = Context(deadline=monotonic() + 30, progress=seen.append)

    reply = await ask(replicas, "report", "less", context)

    assert [(each.stage, each.done, each.total) for each in seen] == [("pages", 1, 2)]
    assert [(each.service, each.reason, each.used) for each in context.degraded] == [("echo", "test", "less")]
    assert [(each.service, each.prompt, each.completion) for each in context.spent] == [("echo", 12, 4)]
    assert 0 < reply.value <= 30


async def test_work_is_not_begun_when_its_time_is_over(replicas):
    with pytest.raises(DeadlineExceeded):
        await ask(replicas, "warm", "late", Context(deadline=monotonic() - 1))

    assert (await ask(replicas, "warm", "next")).value == 3


async def test_a_caller_is_told_when_its_time_runs_out_and_the_next_is_answered(replicas):
    with pytest.raises(DeadlineExceeded):
        await ask(replicas, "linger", 0.5, Context(deadline=monotonic() + 0.05))

    assert (await ask(replicas, "echo", "next")).value == "next"


async def test_the_next_is_answered_after_a_caller_has_gone(replicas):
    call = asyncio.create_task(ask(replicas, "linger", 0.5))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert (await ask(replicas, "echo", "next")).value == "next"


async def test_a_full_line_turns_away_at_once(build):
    replicas = build(queue_bound=1)
    await replicas.start()
    try:
        calls = [asyncio.create_task(ask(replicas, "linger", 0.3)) for _ in range(8)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await replicas.close()

    turned_away = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert turned_away
    assert answered
    assert len(turned_away) + len(answered) == 8


async def test_those_who_wait_are_told_when_the_replicas_stop(build):
    replicas = build()
    await replicas.start()
    calls = [asyncio.create_task(ask(replicas, "linger", 0.1)) for _ in range(5)]
    await asyncio.sleep(0)

    await replicas.close()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(outcome, Overloaded | ServiceFailed) or outcome.value == 0.1 for outcome in outcomes)
    assert any(isinstance(outcome, Overloaded) for outcome in outcomes)


async def test_stopped_replicas_turn_away_and_may_be_stopped_again(build):
    replicas = build()
    await replicas.start()

    await replicas.close()
    await replicas.close()

    assert replicas.health().state is ReplicaState.STOPPED
    with pytest.raises(Overloaded):
        await ask(replicas, "echo", "anyone?")


async def test_health_counts_the_replicas_that_live(build):
    replicas = build(count=2)
    before = replicas.health()
    await replicas.start()
    during = replicas.health()
    await replicas.close()

    assert (before.state, before.replicas) == (ReplicaState.STOPPED, 0)
    assert during.state is ReplicaState.READY
    assert during.replicas >= 2


@pytest.mark.parametrize(
    "broken",
    [partial(in_threads, Unloadable), partial(in_processes, GuardedUnloadable)],
    ids=["threads", "processes"],
)
async def test_a_service_that_cannot_be_loaded_says_why_at_the_start(broken):
    replicas = broken(count=2)

    with pytest.raises(ServiceFailed, match=r"weights\.bin"):
        await replicas.start()

    assert replicas.health().replicas == 0
