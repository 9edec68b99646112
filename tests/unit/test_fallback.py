"""Ladders: what answers when the best cannot, and how the answer says so."""

import asyncio
import threading
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from headrace import InvalidConfiguration, Retry, Service, Unreadable, batched, fallback
from headrace.assembly.parts import parts_of
from headrace.errors import DeadlineExceeded, ServiceFailed
from headrace.gateway.problems import kind_of
from headrace.serving.context import Context, Degraded, within
from headrace.serving.pool import Pool
from headrace.serving.runtime import Reply, Unreachable
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace.settings import Settings


class Miller(Service):
    """Grinds; how is told by the corn."""

    trouble = ""
    release = None
    grinds = 0

    def load(self, artifact):
        return "stone"

    def load_standby(self, artifact):
        return "mortar"

    @batched(max_size=4)
    async def grind(self, corns: list[str]) -> list[str]:
        type(self).grinds += len(corns)
        if self.trouble == "fails":
            raise ValueError("the stone broke")
        if self.trouble == "refuses":
            raise Unreadable("mouldy")
        if self.trouble == "hiccups" and self.grinds == 1:
            raise Retry("once more")
        if self.trouble == "hangs":
            self.release.wait(30)
        return [f"{self.loaded} {corn}" for corn in corns]

    @fallback("coarse", of=grind)
    async def grind_coarsely(self, corn: str) -> str:
        if self.trouble:
            raise ServiceFailed("the stone is broken for this too")
        return f"coarse {corn}"

    @fallback("hand", of=grind, on_standby=True)
    async def _by_hand(self, corn: str) -> str:
        return f"{self.loaded} {corn}"

    async def sieve(self, flour: str) -> str:
        return flour


@asynccontextmanager
async def pool_of(kind, *, rungs=None, queue_bound=64, timeout_s=None):
    def made(loading):
        service = kind()
        getattr(service, loading)(None)
        return service

    kind.grinds = 0
    pool = Pool(
        "miller",
        ThreadReplicas(lambda: made("load_once"), count=1, queue_bound=queue_bound),
        model="sha256:m",
        rungs=kind.ladders if rungs is None else rungs,
        standby=ThreadReplicas(lambda: made("stand_by"), count=1, warms=False),
        timeout_s=timeout_s,
    )
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def ask(pool, corn, *, within_s=60.0):
    with within(Context(deadline=monotonic() + within_s)) as context:
        return await pool.call(Miller.methods["grind"], corn), context


def told(context):
    return [(each.service, each.reason, each.used) for each in context.degraded]


async def test_the_best_way_answers_and_nothing_is_degraded():
    async with pool_of(Miller) as pool:
        answer, context = await ask(pool, "rye")

    assert answer == "stone rye"
    assert told(context) == []
    assert [call.method for call in context.calls] == ["grind"]


async def test_when_it_fails_the_next_way_that_can_answers_and_is_named():
    class Broken(Miller):
        trouble = "fails"

    async with pool_of(Broken) as pool:
        answer, context = await ask(pool, "rye")

    assert answer == "mortar rye"
    assert told(context) == [("miller", "failed", "hand")]
    assert [call.method for call in context.calls] == ["grind"]


async def test_after_failures_the_best_way_is_left_to_rest_and_then_probed():
    class Broken(Miller):
        trouble = "fails"

    async with pool_of(Broken) as pool:
        reasons = [told(context)[0][1] for _, context in [await ask(pool, "rye") for _ in range(12)]]
        Broken.trouble = ""
        async with asyncio.timeout(30):
            while (await ask(pool, "rye"))[0] != "stone rye" or pool.health().open_breakers:
                await asyncio.sleep(0.01)

    assert reasons[0] == "failed"
    assert "breaker_open" in reasons


async def test_a_wrong_question_descends_no_ladder():
    class Refusing(Miller):
        trouble = "refuses"

    async with pool_of(Refusing) as pool:
        for _ in range(12):
            with pytest.raises(Unreadable, match="mouldy"):
                await ask(pool, "rye")
        assert pool.health().open_breakers == 0


async def test_a_hiccup_is_tried_again_before_any_lesser_way():
    class Hiccuping(Miller):
        trouble = "hiccups"

    async with pool_of(Hiccuping) as pool:
        answer, context = await ask(pool, "rye")
        retries = pool.health().retries

    assert answer == "stone rye"
    assert told(context) == []
    assert retries == 1


async def test_when_it_hangs_the_way_on_standby_answers_within_the_callers_time():
    class Hanging(Miller):
        trouble = "hangs"
        release = threading.Event()

    async with pool_of(Hanging, rungs={"grind": (Miller.ladders["grind"][1],)}) as pool:
        answer, context = await ask(pool, "rye", within_s=2.0)
        Hanging.release.set()

    assert answer == "mortar rye"
    assert told(context) == [("miller", "slow", "hand")]


async def test_an_operators_timeout_ends_the_wait_for_the_best_way():
    class Hanging(Miller):
        trouble = "hangs"
        release = threading.Event()

    async with pool_of(Hanging, rungs={"grind": (Miller.ladders["grind"][1],)}, timeout_s=0.05) as pool:
        answer, context = await ask(pool, "rye", within_s=600.0)
        Hanging.release.set()

    assert answer == "mortar rye"
    assert told(context) == [("miller", "slow", "hand")]


async def test_a_full_line_is_an_overload_that_a_way_on_standby_answers():
    class Hanging(Miller):
        trouble = "hangs"
        release = threading.Event()

    async with pool_of(Hanging, rungs={"grind": (Miller.ladders["grind"][1],)}, queue_bound=1) as pool:
        calls = [asyncio.create_task(ask(pool, "rye")) for _ in range(8)]
        async with asyncio.timeout(30):
            while sum(call.done() for call in calls) < 6:
                await asyncio.sleep(0.001)
        Hanging.release.set()
        outcomes = await asyncio.gather(*calls)

    degraded = [told(context)[0] for _, context in outcomes if context.degraded]
    assert set(degraded) == {("miller", "overloaded", "hand")}
    assert 6 <= len(degraded) < 8
    assert {answer for answer, _ in outcomes} == {"mortar rye", "stone rye"}


async def test_without_a_ladder_the_error_is_the_answer():
    class Broken(Miller):
        trouble = "fails"

    async with pool_of(Broken, rungs={}) as pool:
        with pytest.raises(ServiceFailed):
            await ask(pool, "rye")


async def test_when_no_way_answers_the_best_ways_error_is_told():
    class Broken(Miller):
        trouble = "fails"

    async with pool_of(Broken, rungs={"grind": (Miller.ladders["grind"][0],)}) as pool:
        with pytest.raises(ServiceFailed, match="ValueError"):
            await ask(pool, "rye")


async def test_nothing_is_asked_when_the_callers_time_is_over():
    async with pool_of(Miller) as pool:
        with pytest.raises(DeadlineExceeded):
            await ask(pool, "rye", within_s=-1.0)

    assert Miller.grinds == 0


async def test_unbound_a_service_answers_in_its_best_way_or_raises():
    class Broken(Miller):
        trouble = "fails"

    with pytest.raises(ValueError, match="the stone broke"):
        await Broken().grind("rye")


def test_lesser_ways_are_methods_in_the_order_in_which_they_are_written():
    assert [rung.name for rung in Miller.ladders["grind"]] == ["coarse", "hand"]
    assert set(Miller.methods) == {"grind", "grind_coarsely", "_by_hand", "sieve"}


def test_a_subclass_that_writes_a_way_anew_replaces_it_where_it_stands():
    class Finer(Miller):
        @fallback("coarse", of=Miller.grind)
        async def grind_coarsely(self, corn: str) -> str:
            return "finer"

    assert [rung.name for rung in Finer.ladders["grind"]] == ["coarse", "hand"]
    assert Finer.ladders["grind"][0].method is Finer.methods["grind_coarsely"]


def chosen(names):
    class Mill:
        def __init__(self) -> None:
            self.miller = Miller()

    part = parts_of([Mill()], Settings(services={"miller": {"fallback": names}}))["miller"]
    return [rung.name for rung in part.rungs["grind"]]


def test_operators_choose_and_order_the_ways():
    assert chosen(["hand", "coarse"]) == ["hand", "coarse"]
    assert chosen(["hand"]) == ["hand"]
    assert chosen([]) == []


def test_a_way_that_nobody_wrote_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidConfiguration, match=r"'corse' is no lesser way of Miller.*'coarse'"):
        chosen(["corse"])


def test_two_ways_of_one_name_are_refused():
    with pytest.raises(InvalidConfiguration, match="two lesser ways named 'x'"):

        class Twice(Service):
            async def grind(self, corn: str) -> str:
                return corn

            @fallback("x", of=grind)
            async def one(self, corn: str) -> str:
                return corn

            @fallback("x", of=grind)
            async def two(self, corn: str) -> str:
                return corn


class Departed:
    """Replicas on a host that is away for the first `times` calls."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def ask(self, method: object, question: object, context: Context) -> Reply:
        self.left -= 1
        if self.left >= 0:
            raise Unreachable("the mill is away")
        return Reply(value=f"stone {question}", queued_ms=0, compute_ms=0)


async def test_a_host_that_is_away_is_waited_for_where_nobody_else_can_answer():
    pool = Pool("miller", Departed(5), model=None)

    answer, context = await ask(pool, "rye")

    assert answer == "stone rye"
    assert told(context) == []


async def test_a_host_that_stays_away_is_unavailable_and_not_the_servers_fault():
    pool = Pool("miller", Departed(1000), model=None)

    with pytest.raises(Unreachable) as caught:
        await ask(pool, "rye", within_s=0.3)

    assert kind_of(type(caught.value)).status == 503


async def test_a_host_that_is_away_is_not_waited_for_where_another_way_can_answer():
    departed = Departed(1000)
    standby = ThreadReplicas(lambda: loaded(Miller), count=1, warms=False)
    await standby.start()
    pool = Pool("miller", departed, model=None, rungs={"grind": (Miller.ladders["grind"][1],)}, standby=standby)

    answer, context = await ask(pool, "rye")
    await standby.close()

    assert answer == "mortar rye"
    assert told(context) == [("miller", "failed", "hand")]


def loaded(kind):
    service = kind()
    service.stand_by(None)
    return service


async def test_an_answer_that_is_given_again_takes_the_way_that_it_took():
    async with pool_of(Miller) as pool:
        retraced = [Degraded("sieve", "failed", "hand"), Degraded("miller", "overloaded", "coarse")]
        with within(Context(retraced=retraced)) as context:
            first = await pool.call(Miller.methods["grind"], "rye")
            second = await pool.call(Miller.methods["grind"], "rye")

    assert first == "coarse rye"
    assert second == "stone rye"
    assert told(context) == [("miller", "overloaded", "coarse")]


async def test_an_answer_that_the_best_way_gave_is_given_again_by_it_or_not_at_all():
    class Broken(Miller):
        trouble = "fails"

    async with pool_of(Broken) as pool:
        with within(Context(retraced=[])) as context, pytest.raises(ServiceFailed):
            await pool.call(Broken.methods["grind"], "rye")

    assert told(context) == []


async def test_a_way_that_is_no_more_is_not_looked_for_when_an_answer_is_given_again():
    async with pool_of(Miller) as pool:
        with within(Context(retraced=[Degraded("miller", "failed", "oxen")])) as context:
            answer = await pool.call(Miller.methods["grind"], "rye")

    assert answer == "stone rye"
    assert told(context) == []


async def test_a_private_way_is_not_named_to_those_who_wait_in_vain():
    class Broken(Miller):
        trouble = "hangs"
        release = threading.Event()

    async with pool_of(Broken, rungs={"grind": Miller.ladders["grind"][:0]}) as pool:
        by_hand = next(rung.method for rung in Miller.ladders["grind"] if rung.name == "hand")
        with within(Context(deadline=monotonic() + 60)):
            grinding = asyncio.create_task(pool.call(Miller.methods["grind"], "rye"))
        async with asyncio.timeout(30):
            while not Broken.grinds:
                await asyncio.sleep(0.001)
        with within(Context(deadline=monotonic() + 0.2)):
            with pytest.raises(DeadlineExceeded, match=r"^by hand did not answer"):
                await pool.call(by_hand, "rye")
        Broken.release.set()
        await asyncio.gather(grinding, return_exceptions=True)
