"""The controller: what it does with traffic, candidates, stores that go away, and others who are faster."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headrace.domain.exposure import Observation
from headrace.domain.guard_rule import DEGRADED, ERRORS, GuardRule, Need
from headrace.domain.model import CHAMPION
from headrace.domain.release import Release
from headrace.domain.rollout import CHALLENGER, IllegalRolloutChange, RolloutPlan, RolloutState
from headrace.domain.rollout_figures import Verdict
from headrace.domain.tally import Measure, Tally, bucket_of
from headrace.errors import Conflict, InvalidInput, ServiceFailed, UnreadableArtifact
from headrace.rollouts.controller import Controller
from headrace.rollouts.desk import Act, Desk
from headrace.rollouts.judge import judged
from headrace.rollouts.traffic import Traffic
from headrace.storage.database import StoreUnavailable
from headrace.storage.rollouts import SqlRollouts
from headrace.storage.schema import opened_database

OLD, NEW = (Release(pipeline="mill", code="sha256:c", models={"stone": digest}) for digest in ("sha256:1", "sha256:2"))
GUARDS = (GuardRule(ERRORS, weight=0.9, margin=0.1, need=Need.ALWAYS), GuardRule(DEGRADED, weight=0.1, need=Need.NEVER))
PLAN = RolloutPlan(steps=(0.5,), guards=GUARDS)


class Stage:
    """Notes what it is asked; `broken` says why a candidate does not load."""

    def __init__(self) -> None:
        self.loaded, self.left, self.settled = [], [], []
        self.default = OLD.id
        self.broken = None
        self.is_named_now = False

    async def load(self, manifest):
        if self.broken is not None:
            raise self.broken
        self.loaded.append(Release.from_manifest(manifest).id)

    async def unload(self, release):
        self.left.append(release)

    def make_default(self, release):
        self.default = release

    async def is_named(self, rollout):
        return self.is_named_now

    async def settle(self, rollout):
        self.settled.append((rollout.id, rollout.state))


class Cut:
    """A store that can go away."""

    def __init__(self, store) -> None:
        self.store, self.is_away = store, False

    def __getattr__(self, name) -> object:
        if self.is_away:
            raise StoreUnavailable("The store is away.")
        return getattr(self.store, name)


class House:
    """Everything around one controller; clocks stand still until they are moved."""

    def __init__(self, news=None) -> None:
        self.store = Cut(SqlRollouts(opened_database("sqlite://")))
        self.desk = Desk(self.store.store)
        self.stage = Stage()
        self.traffic = Traffic(OLD.id)
        self.seconds, self.moment = 0.0, datetime(2026, 3, 1, tzinfo=UTC)
        self.told = []
        self.controller = Controller(
            "mill",
            store=self.store,
            stage=self.stage,
            traffic=self.traffic,
            tell=lambda event, facts: self.told.append((event, facts)),
            news=news,
            clock=lambda: self.seconds,
            now=lambda: self.moment,
        )

    async def look(self, *, times=1):
        """Looks, lets what it began come to its end, and goes a second on."""
        for _ in range(times):
            await self.controller.look()
            while self.controller._preparing is not None or self.controller._leaving:
                await asyncio.sleep(0.001)
            self.seconds += 1.0

    def observe(self, rollout, *, keys, bad_candidate=0, bad_champion=0):
        """`keys` fresh ones a side, of which so many meet an error."""
        begin = self.seconds
        for is_candidate, bad in ((True, bad_candidate), (False, bad_champion)):
            observations = [
                Observation(
                    f"{begin}-{is_candidate}-{n}", rollout.step, rollout.share, is_candidate,
                    {ERRORS: n < bad, DEGRADED: False},
                )
                for n in range(keys)
            ]  # fmt: skip
            self.store.store.observe(rollout.id, observations, {})


@pytest.fixture
def house():
    built = House()
    yield built
    built.store.store.close()


async def test_a_candidate_gets_its_share_once_it_is_warm(house):
    rollout = house.desk.start(OLD, NEW, PLAN)
    before = house.traffic.choose("k")

    await house.look(times=2)

    answered = {house.traffic.choose(f"k{n}").name for n in range(50)}
    assert (before.release, before.name) == (OLD.id, CHAMPION)
    assert answered == {CHAMPION, CHALLENGER}
    assert house.stage.loaded == [NEW.id]
    assert all(house.traffic.choose(f"k{n}").name == CHALLENGER for n in range(50) if rollout.is_candidate(f"k{n}"))


async def test_a_candidate_that_does_not_load_never_gets_traffic(house):
    house.stage.broken = UnreadableArtifact("weights.bin was changed.")
    rollout = house.desk.start(OLD, NEW, PLAN)

    await house.look(times=3)

    ended = house.desk.found(rollout.id)
    assert ended.state is RolloutState.ROLLED_BACK
    assert "weights.bin was changed" in ended.reason
    assert {house.traffic.choose(f"k{n}").release for n in range(50)} == {OLD.id}


async def test_a_good_candidate_is_promoted_and_the_old_champion_leaves(house):
    rollout = house.desk.start(OLD, NEW, PLAN)
    await house.look(times=2)
    house.observe(rollout, keys=300)

    await house.look(times=8)

    assert house.desk.found(rollout.id).state is RolloutState.PROMOTED
    assert house.traffic.choose("k").release == NEW.id
    assert house.stage.default == NEW.id
    assert house.stage.left == [OLD.id]
    assert house.stage.settled == [(rollout.id, RolloutState.PROMOTED)]
    assert house.store.unsettled() == []


async def test_a_bad_candidate_is_rolled_back_with_the_figures_on_record(house):
    rollout = house.desk.start(OLD, NEW, PLAN)
    await house.look(times=2)
    house.observe(rollout, keys=100, bad_candidate=40, bad_champion=2)

    await house.look(times=8)

    ended = house.desk.status(rollout.id)
    assert ended.rollout.state is RolloutState.ROLLED_BACK
    assert ERRORS in ended.rollout.reason
    assert house.traffic.choose("k").release == OLD.id
    assert house.stage.left == [NEW.id]
    newest = ended.judgements[0]
    assert newest.verdict is Verdict.ROLL_BACK
    again = judged(replace(rollout, revision=newest.revision), newest.figures, at=newest.at, at_step_s=newest.at_step_s)
    assert again == newest


async def test_news_that_cannot_be_read_in_time_keep_no_verdict_waiting():
    class Late:
        def read(self, rollout):
            raise ServiceFailed(f"News of {rollout.id} take too long.")

    house = House(news=Late())
    rollout = house.desk.start(OLD, NEW, PLAN)
    await house.look(times=2)
    house.observe(rollout, keys=100, bad_candidate=50)

    await house.look(times=2)

    assert house.desk.found(rollout.id).state is RolloutState.ROLLED_BACK
    assert "too long" in house.told[0][1]["error"]
    house.store.store.close()


async def test_while_the_store_is_away_the_split_stays_and_nothing_is_promoted(house):
    rollout = house.desk.start(OLD, NEW, PLAN)
    await house.look(times=2)
    before = [house.traffic.choose(f"k{n}").release for n in range(50)]
    house.observe(rollout, keys=300)
    house.store.is_away = True

    await house.look(times=5)

    assert [house.traffic.choose(f"k{n}").release for n in range(50)] == before
    assert house.desk.found(rollout.id).state is RolloutState.CANARY
    assert [event for event, _ in house.told] == ["rollout_store_failed"]

    house.store.is_away = False
    await house.look(times=2)
    assert house.desk.found(rollout.id).state is RolloutState.PROMOTED


async def test_a_rollback_by_another_process_is_followed_at_the_next_look(house):
    rollout = house.desk.start(OLD, NEW, PLAN)
    await house.look(times=2)

    house.desk.decide(Act.ROLLBACK, rollout.id, reason="It sounds odd.")
    await house.controller.look()

    assert {house.traffic.choose(f"k{n}").release for n in range(50)} == {OLD.id}


async def test_a_clock_that_jumps_shortens_no_step(house):
    rollout = house.desk.start(OLD, NEW, replace(PLAN, step_s=3600.0))
    await house.look(times=2)
    house.observe(rollout, keys=300)
    house.moment += timedelta(days=400)

    await house.look(times=4)

    assert house.desk.found(rollout.id).state is RolloutState.CANARY
    house.moment -= timedelta(days=800)
    house.seconds += 3600.0
    await house.look(times=2)
    assert house.desk.found(rollout.id).state is RolloutState.PROMOTED


async def test_a_promotion_by_hand_is_followed_by_a_process_that_has_not_loaded_it_yet(house):
    rollout = house.desk.start(OLD, NEW, PLAN)
    await house.look()
    house.controller._warm = None

    house.desk.decide(Act.PROMOTE, rollout.id)
    await house.look(times=3)

    assert house.traffic.choose("k").release == NEW.id


@pytest.mark.parametrize("is_named", [True, False])
async def test_an_end_before_the_first_look_is_followed_only_where_the_registry_agrees(house, is_named):
    rollout = house.desk.start(OLD, NEW, PLAN)
    house.desk.decide(Act.PROMOTE, rollout.id)
    house.stage.is_named_now = is_named

    await house.look(times=3)

    assert (house.traffic.choose("k").release == NEW.id) is is_named


async def test_what_is_slow_is_learned_once_from_what_is_usual(house):
    latency = GuardRule("latency", weight=0.05, margin=0.05, limit=2.0)
    rollout = house.desk.start(OLD, NEW, replace(PLAN, guards=(*GUARDS[:1], latency)))
    await house.look(times=2)
    house.store.store.observe(rollout.id, [], {Measure(CHAMPION, bucket_of(10.0)): Tally(300, 3000.0, 3e4)})

    await house.look(times=3)

    assert house.desk.found(rollout.id).slow_ms == pytest.approx(20.0, rel=0.25)


async def test_a_held_rollout_is_still_rolled_back_for_harm(house):
    rollout = house.desk.start(OLD, NEW, PLAN)
    await house.look(times=2)
    house.desk.decide(Act.HOLD, rollout.id)
    house.observe(rollout, keys=300)
    await house.look(times=2)
    held = house.desk.found(rollout.id).state
    house.observe(rollout, keys=100, bad_candidate=90)

    await house.look(times=2)

    assert held is RolloutState.HELD
    assert house.desk.found(rollout.id).state is RolloutState.ROLLED_BACK


async def test_a_shadow_sees_questions_and_answers_none(house):
    house.desk.start(OLD, NEW, replace(PLAN, is_shadowed=True))

    await house.look(times=2)

    variants = [house.traffic.choose(f"k{n}") for n in range(50)]
    assert {variant.release for variant in variants} == {OLD.id}
    assert all(variant.is_shadowed for variant in variants)


def test_a_second_rollout_and_a_second_decision_are_refused_with_the_reason(house):
    rollout = house.desk.start(OLD, NEW, PLAN)

    with pytest.raises(Conflict, match=rollout.id):
        house.desk.start(OLD, NEW, PLAN)
    house.desk.decide(Act.ROLLBACK, rollout.id, reason="It sounds odd.")
    with pytest.raises(IllegalRolloutChange, match="It sounds odd"):
        house.desk.decide(Act.PROMOTE, rollout.id)


def test_releases_of_two_pipelines_are_no_rollout(house):
    with pytest.raises(InvalidInput, match="bakery"):
        house.desk.start(OLD, Release(pipeline="bakery", code="sha256:c"), PLAN)
